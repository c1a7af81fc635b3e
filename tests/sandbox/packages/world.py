"""An index on this machine, with whatever wheels a test wants, and a supply that uses it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.packages.install import Installer
from ostiary.sandbox.packages.opening import Supply, find_uv, open_supply
from tests.needs import missing, needs_bubblewrap

TIME = (2026, 1, 1, 0, 0, 0)
Answer = tuple[int, dict[str, str], bytes]


def run(main: Callable[[], Any], seconds: float = 50) -> Any:
    """Run one test, within its time: the first one builds a file system for the resolver."""

    async def bounded() -> Any:
        async with asyncio.timeout(seconds):
            return await main()

    return uvloop.run(bounded())  # the loop that the program runs on


def wheel(
    name: str, files: Mapping[str, bytes] | None = None, *, version: str = "1.0", tag: str = "py3-none-any"
) -> bytes:
    """A wheel with these files, and what the format asks for."""
    info = f"{name}-{version}.dist-info"
    inside = {
        f"{name}.py": b"here = True\n",
        **(files or {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    lines = []
    for path, content in inside.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}\n")
    inside[f"{info}/RECORD"] = ("".join(lines) + f"{info}/RECORD,,\n").encode()
    return packed(inside)


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip file with these members, under exactly these names."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path, TIME), content, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def sdist(name: str, setup: str) -> bytes:
    """A source distribution with this `setup.py`."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for path, text in {"setup.py": setup, "PKG-INFO": f"Name: {name}\nVersion: 1.0\n"}.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return sink.getvalue()


class Shelf:
    """An index over HTTP. `asked` are the request heads, as they came."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.projects: dict[str, list[dict[str, Any]]] = {}
        self.url = ""
        self.came = asyncio.Event()
        self.hang = asyncio.Event()
        self.hangs_at = ""

    def add(self, file: str, content: bytes, **entry: Any) -> None:
        """Offer a file of the project that its name says."""
        project = file.partition("-")[0].replace("_", "-")
        self.answers[f"/files/{file}"] = (200, {}, content)
        digest = hashlib.sha256(content).hexdigest()
        self.projects.setdefault(project, []).append(
            {"filename": file, "url": f"../../files/{file}", "hashes": {"sha256": digest}, **entry}
        )

    def add_wheel(self, name: str, files: Mapping[str, bytes] | None = None, **entry: Any) -> None:
        """Offer a wheel of a project, version 1.0, for every Python."""
        self.add(f"{name}-1.0-py3-none-any.whl", wheel(name, files), **entry)

    def answer(self, path: str) -> Answer:
        """What is at `path`."""
        if path in self.answers:
            return self.answers[path]
        project = path.removeprefix("/simple/").rstrip("/")
        if path.startswith("/simple/") and project in self.projects:
            page = {"meta": {"api-version": "1.0"}, "name": project, "files": self.projects[project]}
            return 200, {"content-type": "application/vnd.pypi.simple.v1+json"}, json.dumps(page).encode()
        return 404, {}, b"no\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head)
        self.came.set()
        path = head.split(" ", 2)[1]
        if self.hangs_at and path.startswith(self.hangs_at):
            await self.hang.wait()
        status, fields, body = self.answer(path)
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in fields.items())]
        lines += [f"content-length: {len(body)}", "connection: close", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def shelf() -> AsyncIterator[Shelf]:
    """An index that listens on this machine."""
    here = Shelf()
    server = await asyncio.start_server(here.serve, "127.0.0.1", 0)
    here.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/simple/"
    try:
        yield here
    finally:
        here.hang.set()
        server.close()


def environ(cache: Path, level: str) -> dict[str, str]:
    """The environment of a server whose cache is `cache`; bubblewrap is found where tests have it."""
    given = {"PATH": os.environ["PATH"], "HOME": str(cache), "OSTIARY_CACHE_DIR": str(cache)}
    if level == "strict":
        given["PATH"] = needs_bubblewrap()
    return given


def roots() -> Path:
    """A cache folder that outlives one test, for the file systems that take seconds to build."""
    folder = Path(tempfile.gettempdir()) / f"ostiary-tests-{os.geteuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)
    return folder


def open_test_supply(cache: Path, level: str, url: str | None, **changed: Any) -> Supply:
    """A supply with its packages below `cache`. `changed` are fields of its installer."""
    given = environ(cache, level)
    if find_uv(given) is None:
        missing("uv is not installed")
    found = probe(given)
    if level == "strict" and found.lacking():
        missing(found.lacking()[0].sentence())
    walls = Walls.decide("strict" if level == "strict" else "none", found)
    given |= {name: value for name, value in os.environ.items() if url is None}
    supply = open_supply(given, walls, roots(), Path(sys.executable), index_url=url)
    installer = supply.installer
    assert isinstance(installer, Installer)
    store = type(supply.store)(cache / "packages", changed.get("bounds"))
    return msgspec.structs.replace(
        supply, store=store, installer=msgspec.structs.replace(installer, **changed)
    )
