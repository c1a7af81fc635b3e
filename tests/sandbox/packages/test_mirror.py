"""The index as the resolver sees it, and what its box lets it see of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from ostiary.sandbox.packages.index import Index, read_index
from ostiary.sandbox.packages.install import Order
from ostiary.sandbox.packages.mirror import Amounts, Mirror
from ostiary.sandbox.packages.web import Web, WebError
from tests.needs import needs_program
from tests.sandbox.packages.world import open_test_supply, run, shelf, wheel

OK = b"HTTP/1.1 200 OK\r\n"
FILE = "plain-1.0-py3-none-any.whl"


class Asking:
    """A mirror, asked over its socket as the resolver would."""

    def __init__(self, mirror: Mirror, path: Path) -> None:
        self.mirror = mirror
        self._path = path

    async def get(self, target: str, method: str = "GET") -> tuple[int, bytes]:
        """Status and body; 0 when the mirror says nothing."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        got = b""
        with contextlib.suppress(ConnectionError):
            writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            got = await reader.read()
        writer.transport.abort()
        head, _, body = got.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]) if head else 0, body


@asynccontextmanager
async def mirrored(
    index: Index, amounts: Amounts | None = None, uid: int | None = None
) -> AsyncIterator[Asking]:
    with tempfile.TemporaryDirectory() as folder:
        mirror = Mirror(Web(index), amounts, uid=uid)
        await mirror.start(Path(folder) / "index.sock")
        try:
            yield Asking(mirror, Path(folder) / "index.sock")
        finally:
            await mirror.close()


def test_the_resolver_is_given_numbers_and_no_addresses() -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            async with mirrored(read_index(index.url)) as asking:
                status, page = await asking.get("/simple/plain/")
                assert status == 200
                assert b"127.0.0.1" not in page
                assert json.loads(page)["files"][0]["url"] == f"/files/0/{FILE}"
                assert await asking.get(f"/files/0/{FILE}") == (200, wheel("plain"))

    run(main)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/simple/", 404),
        ("GET", "/simple/Plain/", 404),
        ("GET", "/simple/../etc/", 404),
        ("GET", "/simple/plain/../../x/", 404),
        ("GET", "/simple/plain%2f../", 404),
        ("GET", "/simple/plain?x=1/", 404),
        ("GET", "http://elsewhere.example/simple/plain/", 405),
        ("GET", f"/files/1/{FILE}", 404),
        ("GET", f"/files/-1/{FILE}", 404),
        ("GET", "/files/0/", 404),
        ("GET", "/simple/absent/", 404),
        ("HEAD", f"/files/0/{FILE}", 405),
        ("POST", "/simple/plain/", 405),
        ("CONNECT", "elsewhere.example:443", 405),
    ],
)
def test_nothing_else_is_served(method: str, target: str, status: int) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            async with mirrored(read_index(index.url)) as asking:
                await asking.get("/simple/plain/")
                came = len(index.asked)
                assert (await asking.get(target, method))[0] == status
                assert len(index.asked) - came == (1 if "absent" in target else 0)

    run(main)


def test_a_source_is_listed_so_that_the_resolver_can_say_so_and_not_served() -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add("plain-1.0.tar.gz", b"x")
            async with mirrored(read_index(index.url)) as asking:
                assert b"plain-1.0.tar.gz" in (await asking.get("/simple/plain/"))[1]
                assert (await asking.get("/files/0/plain-1.0.tar.gz"))[0] == 404
                assert (await asking.get("/files/0/plain-1.0.tar.gz.metadata"))[0] == 404

    run(main)


def test_the_metadata_beside_a_wheel_is_served() -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            index.answers[f"/files/{FILE}.metadata"] = (200, {}, b"Name: plain\n")
            async with mirrored(read_index(index.url)) as asking:
                await asking.get("/simple/plain/")
                assert await asking.get(f"/files/0/{FILE}.metadata") == (200, b"Name: plain\n")

    run(main)


def test_the_end_of_a_file_that_is_not_what_it_should_be_is_held_back() -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            index.answers[f"/files/{FILE}"] = (200, {}, b"x" * 300_000)
            async with mirrored(read_index(index.url)) as asking:
                await asking.get("/simple/plain/")
                assert len((await asking.get(f"/files/0/{FILE}"))[1]) < 300_000
                assert "digest differs" in asking.mirror.troubles[0]

    run(main)


def test_what_one_resolution_may_read_is_bounded_in_all() -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain", {"noise": os.urandom(100_000)})
            amounts = Amounts(in_all=150_000, requests=4)
            async with mirrored(read_index(index.url), amounts) as asking:
                await asking.get("/simple/plain/")
                assert (await asking.get(f"/files/0/{FILE}"))[0] == 200
                assert len((await asking.get(f"/files/0/{FILE}"))[1]) < 100_000
                assert "in all" in asking.mirror.troubles[0]
                await asking.get("/")
                assert (await asking.get("/"))[0] == 429

    run(main)


def test_a_page_that_is_too_long_is_given_up() -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            async with mirrored(read_index(index.url), Amounts(page=10)) as asking:
                assert (await asking.get("/simple/plain/"))[0] == 502

    run(main)


def test_another_user_gets_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = os.geteuid()

    async def main(uid: int) -> int:
        async with shelf() as index:
            index.add_wheel("plain")
            async with mirrored(read_index(index.url), uid=uid) as asking:
                return (await asking.get("/simple/plain/"))[0]

    monkeypatch.setattr("os.geteuid", lambda: ours + 1)  # as if the mirror ran under another user
    assert run(lambda: main(ours)) == 200
    assert run(lambda: main(ours + 2)) == 0


def test_wheels_in_the_operators_folders_are_offered_as_well(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(wheel("plain"))
    (tmp_path / "broken.whl").write_bytes(b"")

    async def main() -> None:
        async with shelf() as index, mirrored(read_index(index.url, folders=(str(tmp_path),))) as asking:
            status, page = await asking.get("/simple/plain/")
            assert (status, str(tmp_path).encode() in page) == (200, False)
            assert await asking.get(f"/files/0/{FILE}") == (200, wheel("plain"))

    run(main)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        OK + b"content-length: 9\r\n\r\nshort",
        OK + b"x: " + b"y" * 99_000,
    ],
    ids=["nothing", "nonsense", "cut short", "endless head"],
)
def test_an_index_that_speaks_no_http_is_told_of(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/simple/"
        with pytest.raises(WebError):
            async with Web(read_index(url)).get(f"{url}plain/", "*/*", stray=False) as reply:
                await reply.read(1_000_000)
        server.close()

    run(main)


def certified(folder: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and the authority that vouches for it: itself."""
    needs_program("openssl")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", folder / "key", "-out", folder / "cert", "-days", "2", "-subj", f"/CN={host}",
            "-addext", f"subjectAltName=DNS:{host}",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context, folder / "cert"


@pytest.mark.parametrize(
    ("host", "trusted", "outcome"),
    [
        ("index.example", True, "200"),
        ("index.example", False, "not trusted"),
        ("other.example", True, "not trusted"),
    ],
)
def test_an_index_over_tls_must_show_a_certificate_for_its_name(
    tmp_path: Path, host: str, trusted: bool, outcome: str
) -> None:
    context, authority = certified(tmp_path, "index.example")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        await reader.read()
        writer.close()

    async def find(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def main() -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        url = f"https://{host}:{server.sockets[0].getsockname()[1]}/simple/"
        index = read_index(url, certificates=str(authority) if trusted else "")
        try:
            async with Web(index, find).get(url, "*/*", stray=False) as reply:
                return f"{reply.status} {await reply.read(10)}"
        except WebError as error:
            return str(error)
        finally:
            server.close()

    assert outcome in run(main)


def test_a_long_answer_over_tls_arrives_whole(tmp_path: Path) -> None:
    """A server that is asked to close may be heard closing before its last bytes are read."""
    context, authority = certified(tmp_path, "index.example")
    size = 1_000_000
    listener = socket.create_server(("127.0.0.1", 0))
    sent = threading.Event()

    def serve() -> None:
        with listener, context.wrap_socket(listener.accept()[0], server_side=True) as client:
            head = client.recv(65_536)
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))
            sent.set()
            if b"connection: close" not in head.lower():
                client.recv(1)

    async def find(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def main() -> None:
        url = f"https://index.example:{listener.getsockname()[1]}/simple/"
        index = read_index(url, certificates=str(authority))
        async with Web(index, find).get(url, "*/*", stray=False) as reply:
            assert await asyncio.to_thread(sent.wait, 5)  # a slow reader: everything is on the way
            got = sum([len(chunk) async for chunk in reply.chunks()])
        assert got == size

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    run(main)
    server.join(5)


PROBE = """
import json, os, socket
def tried(address):
    try:
        socket.create_connection(address, timeout=1).close()
        return True
    except OSError:
        return False
print(json.dumps({
    "reached": [tried(tuple(address)) for address in %s],
    "given": sorted(os.listdir("/given")),
    "environment": sorted(os.environ),
    "all": open("/proc/1/environ").read() + open("/proc/self/environ").read() + str(os.listdir("/")),
    "writes": [os.access(path, os.W_OK) for path in ("/given", "/python", "/etc")],
    "capabilities": [line for line in open("/proc/self/status") if line.startswith("CapEff")][0].split()[1],
}))
"""


def test_where_the_resolver_runs_there_is_no_network_no_secret_and_nothing_to_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OSTIARY_INDEX_URL", "http://me:hush-hush@index.example/simple/")

    async def main() -> None:
        async with shelf() as index:
            with tempfile.TemporaryDirectory() as folder:
                Path(folder).chmod(0o755)
                secret = index.url.replace("http://", "http://me:hush-hush@")
                supply = open_test_supply(Path(folder), "strict", secret)
                installer = supply.installer
                assert installer is not None
                cell = installer.walls.cells.take()
                draft = supply.store.draft()
                given, made = installer._lay_out(draft, Order(target=supply.targets["cpython"]), cell)
                place = read_index(index.url).place
                code = PROBE % [[place.host, place.port], ["169.254.169.254", 80]]
                box = installer._box(Order(target=supply.targets["cpython"]), given, made, cell)
                box = msgspec.structs.replace(box, command=(installer.root.python, "-I", "-c", code))
                process = installer.walls.start(box, stdout=subprocess.PIPE)
                out, _ = await asyncio.to_thread(process.communicate)
                assert await asyncio.to_thread(installer.walls.cells.give_back, cell)

                seen = json.loads(out)
                assert seen["reached"] == [False, False]
                assert seen["given"] == ["relay.py", "wheels.lock"]
                assert "hush" not in seen["all"]
                assert "INDEX" not in "".join(seen["environment"]).replace("UV_DEFAULT_INDEX", "")
                assert seen["writes"] == [False, False, False]
                assert int(seen["capabilities"], 16) == 0

    run(main)
