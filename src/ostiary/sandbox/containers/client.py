"""A connection to one engine: the SDK's calls in threads of their own, and streams on the loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from ostiary.errors import OstiaryError
from ostiary.sandbox.containers.address import Address, advice, find_address
from ostiary.sandbox.containers.api import Api, Json, connect, is_trouble, status_of
from ostiary.sandbox.containers.faults import EngineFault
from ostiary.sandbox.containers.wire import MAX_FRAME, Head, head_of

T = TypeVar("T")

_THREADS = 8
_TIMEOUT_S = 60
ANSWER_S = 60.0
"""How long the engine may take to begin an answer, and to end a short one."""
CLOSE_S = 5.0
"""How long closing waits for a thread: all of them may hang in what the engine does not answer."""
_HEAD = 64 << 10
_BODY = 8 << 20
_UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
READ = 64 << 10
"""Bytes that are read at once, and the bound of what a stream reads ahead."""


class Refused(OstiaryError):
    """The engine refused: `status` as HTTP has it, `message` in its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Upgraded:
    """A connection that has become a stream of bytes both ways."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def close(self) -> None:
        """Let go of it. What runs at its other end is told, and goes on or not."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError):  # it is closed all the same
            await self.writer.wait_closed()


class Client:
    """One engine. Nothing is imported and nothing connected before the first call."""

    def __init__(self, host: str, environ: Mapping[str, str]) -> None:
        self._host = host
        self._environ = dict(environ)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="containers")
        self._api: Api | None = None
        self._address: Address | None = None
        self._turn = asyncio.Lock()
        self._described: tuple[str, str, str] | None = None

    async def call(self, ask: Callable[[Api], T]) -> T:
        """What `ask` returns. Raises Refused, or EngineFault when the engine cannot be reached."""
        api = await self._connected()
        address = self._where()

        def asked() -> T:
            _knock(address)
            return ask(api)

        return await self.guarded(asked)

    async def work(self, block: Callable[[], T]) -> T:
        """What `block` returns, which blocks: in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, block)

    async def guarded(self, block: Callable[[], T]) -> T:
        """What `block` returns, which uses the engine. As `call`."""
        try:
            return await self.work(block)
        except OstiaryError:
            raise
        except ModuleNotFoundError as error:
            raise EngineFault(f"`{error.name}` is not installed", hint="install `ostiary[docker]`") from error
        except Exception as error:
            raise self._fault(error) from error

    async def own(self, patience: float) -> Api:
        """A client for one long call, which its caller closes; `patience` in seconds, for one read."""
        await self._connected()
        address = self._where()
        return await self.guarded(lambda: _connected(address, patience))

    async def described(self) -> tuple[str, str, str]:
        """The engine's kind (`docker`, `podman`), its version, and its usual runtime."""
        if self._described is None:
            said = await self.call(lambda api: api.version())
            info = await self.call(lambda api: api.info())
            parts = cast("list[Json]", said.get("Components") or [])
            podman = any("podman" in str(part.get("Name", "")).lower() for part in parts)
            self._described = (
                "podman" if podman else "docker",
                str(said.get("Version", "")),
                str(info.get("DefaultRuntime", "")),
            )
        return self._described

    async def ask(self, method: str, path: str, body: Json | None = None, *, endless: bool = False) -> Json:
        """A request outside the SDK: no thread, and the loop can give it up. As `call`.

        `endless`: its answer may take any time, and whoever asks bounds the wait.
        """
        if endless:
            return await self._asked(method, path, body)
        async with self._patient():
            return await self._asked(method, path, body)

    async def _asked(self, method: str, path: str, body: Json | None) -> Json:
        reader, writer, head = await self._request(method, path, body, {"Connection": "close"})
        try:
            found = b"".join([piece async for piece in _pieces(reader, head, most=_BODY)])
            return cast("Json", json.loads(found)) if found.strip() else {}
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError) as error:
            raise self._unreachable(error) from error
        finally:
            await Upgraded(reader, writer).close()

    async def read(self, path: str, most: int) -> tuple[bytes, bool]:
        """At most `most` bytes of an answer, and whether there were more. As `call`."""
        async with self._patient():
            reader, writer, head = await self._request("GET", path, None, {"Connection": "close"})
        found = bytearray()
        try:
            async for piece in _pieces(reader, head):
                found += piece
                if len(found) > most:
                    return bytes(found[:most]), True
            return bytes(found), False
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError) as error:
            raise self._unreachable(error) from error
        finally:
            await Upgraded(reader, writer).close()

    async def upgrade(self, path: str, body: Json) -> Upgraded:
        """Start something whose streams this connection then carries. As `call`."""
        async with self._patient():
            reader, writer, _ = await self._request("POST", path, body, _UPGRADE)
        return Upgraded(reader, writer)

    async def close(self) -> None:
        """Let go of the engine. What is asked still is not waited for, and what waits is not asked.

        A thread that hangs in the SDK goes on until the SDK gives up: the process may end up to 60 s later.
        """
        if self._api is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.work(self._api.close)
            self._api = None
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- within -----------------------------------------------------------------------------------

    def _where(self) -> Address:
        if self._address is None:
            self._address = find_address(self._host, self._environ)
        return self._address

    async def _connected(self) -> Api:
        async with self._turn:
            if self._api is None:
                address = self._where()
                self._api = await self.guarded(lambda: _connected(address, _TIMEOUT_S))
            return self._api

    def _fault(self, error: Exception) -> Exception:
        refusal = status_of(error)
        if refusal is not None:
            return Refused(*refusal)
        return self._unreachable(error) if is_trouble(error) else error

    def _unreachable(self, error: Exception) -> EngineFault:
        address = self._where()
        return EngineFault(f"the engine at {address.url} does not answer: {error}", hint=advice(address))

    @contextlib.asynccontextmanager
    async def _patient(self) -> AsyncGenerator[None]:
        """Bound the wait for what is asked within. Raises EngineFault."""
        try:
            async with asyncio.timeout(ANSWER_S):
                yield
        except TimeoutError:
            address = self._where()
            raise EngineFault(
                f"the engine at {address.url} did not answer within {ANSWER_S:g} s", hint=advice(address)
            ) from None

    async def _request(
        self, method: str, path: str, body: Json | None, headers: Mapping[str, str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Head]:
        api = await self._connected()
        address = self._where()
        try:
            reader, writer = await _open(address)
        except (OSError, ssl.SSLError) as error:
            raise self._unreachable(error) from error
        try:
            text = b"" if body is None else json.dumps(body).encode()
            said = {"Host": "engine", "Content-Type": "application/json", "Content-Length": str(len(text))}
            lines = [f"{name}: {value}" for name, value in (said | dict(headers)).items()]
            request = "\r\n".join([f"{method} /v{api.api_version}{path} HTTP/1.1", *lines, "", ""])
            writer.write(request.encode("ascii") + text)
            head = head_of(await reader.readuntil(b"\r\n\r\n"))
            if head.status < 400:  # noqa: PLR2004 - where HTTP's refusals begin
                return reader, writer, head
            words = b"".join([piece async for piece in _pieces(reader, head, most=_BODY)])
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError) as error:
            await Upgraded(reader, writer).close()
            raise self._unreachable(error) from error
        except BaseException:
            await Upgraded(reader, writer).close()
            raise
        await Upgraded(reader, writer).close()
        raise Refused(head.status, _words(words))


def _connected(address: Address, patience: float) -> Api:
    _knock(address)
    return connect(address, timeout=patience)


def _knock(address: Address) -> None:
    """Raise OSError where nobody answers, in words that are plainer than the SDK's."""
    if address.path:
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(_TIMEOUT_S)
            one.connect(address.path)


async def _open(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.path:
        return await asyncio.open_unix_connection(address.path, limit=_HEAD)
    return await asyncio.open_connection(address.host, address.port, ssl=address.context(), limit=_HEAD)


async def _pieces(
    reader: asyncio.StreamReader, head: Head, *, most: int | None = None
) -> AsyncIterator[bytes]:
    """The body of an answer as it comes. Raises ValueError for one that is longer than `most` bytes."""
    left = head.length
    seen = 0
    while left != 0:
        if head.chunked:
            size = int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16)
            if size == 0:
                return
            if size > MAX_FRAME:
                raise ValueError("a chunk is too long")
            piece = (await reader.readexactly(size + 2))[:-2]
        else:
            piece = await reader.read(READ if left is None else min(READ, left))
            if not piece:
                return
            left = None if left is None else left - len(piece)
        seen += len(piece)
        if most is not None and seen > most:
            raise ValueError("the answer is too long")
        yield piece


def _words(body: bytes) -> str:
    """What the engine says of its refusal."""
    try:
        said: Any = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()
    found: Any = cast("Json", said).get("message") if isinstance(said, dict) else None
    return str(found if found is not None else body.decode("utf-8", "replace").strip())
