"""The index as the resolver sees it: over a unix socket, wheels only, every file checked.

The resolver sits where there is no network. It asks here for a project's page and for files, by
numbers that this page gave them; it cannot name a host, and it never holds a credential. Answered
are `GET /simple/NAME/` and `GET /files/NUMBER/FILE`, nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ostiary.sandbox.egress.proxy import is_peer
from ostiary.sandbox.egress.pump import drop
from ostiary.sandbox.packages.pages import ACCEPT, JSON_TYPE, File, PageError, read_page, write_page
from ostiary.sandbox.packages.web import CHUNK, Reply, Web, WebError

MIB: Final = 1 << 20
MAX_HEAD: Final = 16_384
_HEAD_S: Final = 10.0
_LINE: Final = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,2048}) HTTP/1\.[01]\r\n")
_PROJECT: Final = re.compile(r"/simple/([a-z0-9]+(?:-[a-z0-9]+)*)/\Z")
_FILE: Final = re.compile(r"/files/([0-9]{1,8})/[^/]+?(\.metadata)?\Z")
_EXPECTED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
"""What a resolver tries in the course of things: no such project, HEAD."""
_FILE_TYPES: Final = "application/octet-stream, */*;q=0.5"


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what one resolution may read, in bytes; `requests` counts them."""

    page: int = 48 * MIB
    metadata: int = 8 * MIB
    file: int = 512 * MIB
    in_all: int = 1_024 * MIB
    requests: int = 2_000


class _NotServed(Exception):
    """Answer with `status`."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Mirror:
    """Serves one resolution. `uid` is the only user whose processes may connect, or None for any.

    `troubles` are the reasons for which something was not served, for a person. `aliases` as in
    `target.Target`.
    """

    def __init__(
        self,
        web: Web,
        amounts: Amounts | None = None,
        *,
        uid: int | None = None,
        aliases: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._web = web
        self._aliases = tuple(aliases)
        self._amounts = amounts or Amounts()
        self._uid = uid
        self._files: list[File] = []
        self._left = self._amounts.in_all
        self._requests = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.troubles: list[str] = []

    async def start(self, path: Path) -> None:
        """Listen on the unix socket `path`, which must not exist. Raises OSError."""
        self._server = await asyncio.start_unix_server(self._accept, path)
        os.chmod(path, 0o666)  # noqa: S103, PTH101 - `uid` says who is answered

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or not is_peer(writer, self._uid):
            drop(writer)
            return
        self._tasks.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the resolver went away, or speaks no HTTP
        finally:
            self._tasks.discard(task)
            drop(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            await self._serve(head, writer)
        except (_NotServed, WebError, PageError) as error:
            status = error.status if isinstance(error, _NotServed) else 502
            if status not in _EXPECTED:
                self.troubles.append(str(error))
            await _send(writer, status, "text/plain", f"{error}\n".encode())

    async def _serve(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        self._requests += 1
        if self._requests > self._amounts.requests:
            raise _NotServed(429, f"more than {self._amounts.requests} requests to the index")
        line = _LINE.match(head)
        if line is None or line[1] != b"GET":
            raise _NotServed(405, "only GET is served")
        path = line[2].decode("ascii")
        if project := _PROJECT.match(path):
            await _send(writer, 200, JSON_TYPE, await self._page(project[1]))
        elif file := _FILE.match(path):
            await self._file(int(file[1]), bool(file[2]), writer)
        else:
            raise _NotServed(404, "there is no such page")

    async def _page(self, project: str) -> bytes:
        found = await asyncio.to_thread(_in_folders, self._web.index.folders, project)
        url = f"{self._web.index.url}{project}/"
        async with self._web.get(url, ACCEPT, stray=False) as reply:
            if reply.status == HTTPStatus.OK:
                body = await reply.read(self._amounts.page)
                found += read_page(body, reply.fields.get("content-type", ""), reply.url)
            elif reply.status != HTTPStatus.NOT_FOUND:
                raise WebError(f"the index answered {reply.status} for `{project}`")
            elif not found:
                raise _NotServed(404, f"the index has no project `{project}`")
        first = len(self._files)
        found = [_aliased(file, self._aliases) for file in found]
        self._files += found
        served = ((file, f"/files/{number}/{file.name}") for number, file in enumerate(found, first))
        return write_page(project, served)

    async def _file(self, number: int, metadata: bool, writer: asyncio.StreamWriter) -> None:  # noqa: FBT001 - one caller
        if number >= len(self._files) or not self._files[number].name.endswith(".whl"):
            raise _NotServed(404, "only wheels are served")
        file = self._files[number]
        if file.url.startswith("file:"):
            if metadata:
                raise _NotServed(404, "there is no metadata beside it")
            await self._pass(_from_disk(Path(file.url[len("file:") :])), None, file, writer)
            return
        url = file.url + (".metadata" if metadata else "")
        async with self._web.get(url, _FILE_TYPES, stray=True) as reply:
            if reply.status != HTTPStatus.OK:
                raise WebError(f"{file.name}: its host answered {reply.status}")
            if metadata:
                await _send(writer, 200, "text/plain", await reply.read(self._amounts.metadata))
            else:
                await self._pass(reply.chunks(), reply, file, writer)

    async def _pass(
        self, chunks: AsyncIterator[bytes], reply: Reply | None, file: File, writer: asyncio.StreamWriter
    ) -> None:
        """Pass a wheel on. Its last piece is held back until the digest is right."""
        length = reply.length if reply is not None else file.size
        if (length or 0) > self._amounts.file:
            raise WebError(f"{file.name} is larger than {self._amounts.file // MIB} MiB")
        writer.write(_head(200, "application/octet-stream", length))
        digest, held = hashlib.sha256(), b""
        try:
            async for chunk in chunks:
                self._count(file, len(chunk))
                digest.update(chunk)
                writer.write(held)
                held = chunk
                await writer.drain()
            _check_digest(file, digest.hexdigest())
        except WebError as error:  # too late for another status: the resolver sees a broken transfer
            self.troubles.append(str(error))
            drop(writer)
            return
        writer.write(held)
        await _finish(writer)

    def _count(self, file: File, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise WebError(f"{file.name}: more than {self._amounts.in_all // MIB} MiB in all")


def _check_digest(file: File, digest: str) -> None:
    if file.sha256 and digest != file.sha256:
        raise WebError(f"{file.name} is not what the index says it is: its digest differs")


def _aliased(file: File, aliases: tuple[tuple[str, str], ...]) -> File:
    """The file with the platform tag by which the resolver knows its platform."""
    for theirs, known in aliases:
        if file.name.endswith(f"-{theirs}.whl"):
            return msgspec.structs.replace(file, name=file.name.replace(f"-{theirs}.whl", f"-{known}.whl"))
    return file


def _in_folders(folders: tuple[str, ...], project: str) -> list[File]:
    """The wheels of `project` that lie in folders of the operator's."""
    found: list[File] = []
    for path in (path for folder in folders for path in sorted(Path(folder).glob("*.whl"))):
        with contextlib.suppress(InvalidWheelFilename, OSError):
            if canonicalize_name(parse_wheel_filename(path.name)[0]) == project:
                found.append(File(name=path.name, url=f"file:{path.resolve()}", size=path.stat().st_size))
    return found


async def _from_disk(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


def _head(status: int, content_type: str, length: int | None) -> bytes:
    sized = "" if length is None else f"content-length: {length}\r\n"
    return f"HTTP/1.1 {status} -\r\ncontent-type: {content_type}\r\n{sized}connection: close\r\n\r\n".encode()


async def _send(writer: asyncio.StreamWriter, status: int, content_type: str, body: bytes) -> None:
    writer.write(_head(status, content_type, len(body)) + body)
    await _finish(writer)


async def _finish(writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    writer.close()
    await writer.wait_closed()
