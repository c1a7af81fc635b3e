"""Running the resolver: uv behind walls, with the index as its only way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import GatewayFault
from ostiary.sandbox.egress import relay
from ostiary.sandbox.isolation.box import Bind, Box
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.isolation.root import Root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.packages.fault import PackageFault
from ostiary.sandbox.packages.mirror import Amounts, Mirror
from ostiary.sandbox.packages.store import Bounds, measure
from ostiary.sandbox.packages.target import Target
from ostiary.sandbox.packages.web import Web

MIB: Final = 1 << 20
MAX_OUTPUT: Final = 8_192
"""Characters of the resolver's text that are told."""
_MEMORY: Final = 1_024 * MIB
_TASKS: Final = 256
_LOOK_S: Final = 0.25
_IN, _OUT = "/given", "/made"
_ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin",
    "HOME": f"{_OUT}/home",
    "LANG": "C.UTF-8",
    "TMPDIR": _OUT,
    "UV_CACHE_DIR": f"{_OUT}/cache",
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_HTTP_RETRIES": "1",
    "UV_CONCURRENT_DOWNLOADS": "8",
    "NO_PROXY": "127.0.0.1",
}
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_INNER: Final = re.compile(r"http://(?:127\.0\.0\.1:[0-9]+|\{relay\})/simple/")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to install. `lock` is the text of a lock file with digests; then exactly that is installed."""

    target: Target
    requirements: tuple[str, ...] = ()
    lock: str = ""


class Installer(msgspec.Struct, frozen=True, kw_only=True):
    """Installs wheels into a folder. `root` holds a Python and, as its first program, uv."""

    walls: Walls
    root: Root
    budget_s: float = 180.0
    amounts: Amounts = Amounts()
    bounds: Bounds = Bounds()

    async def install(self, order: Order, web: Web, draft: Path) -> Path:
        """Install below `draft`, a folder of this order alone, and return where.

        When this returns or raises nothing runs any more that could write there.

        Raises:
            PackageFault: with the resolver's text when it finds no way, or takes or makes too much.
            GatewayFault: when it cannot be started.
        """
        cell = await asyncio.to_thread(self.walls.cells.take)
        mirror = Mirror(web, self.amounts, uid=cell.uid, aliases=order.target.aliases)
        try:
            given, made = await asyncio.to_thread(self._lay_out, draft, order, cell)
            await mirror.start(given / "index.sock")
            said = await self._run(self._box(order, given, made, cell), draft / "output", made)
        finally:
            await mirror.close()
            ended = await asyncio.to_thread(self.walls.cells.give_back, cell)
        if not ended:
            raise GatewayFault("the resolver cannot be ended: a process of it still runs")
        if said is not None:
            hidden = ((str(draft), "…"), (self.root.path, ""))
            told = _told(said, web.index.url, mirror.troubles, hidden)
            raise PackageFault("the packages cannot be installed", output=told)
        return made / "site"

    def _lay_out(self, draft: Path, order: Order, cell: Cell) -> tuple[Path, Path]:
        """What the resolver is given, and the folder in which it works."""
        given, made = draft / "given", draft / "made"
        given.mkdir(mode=0o755)
        made.mkdir(mode=0o700)
        (given / "relay.py").write_bytes(Path(relay.__file__).read_bytes())
        (given / "wheels.lock").write_text(order.lock)
        for path in given.iterdir():
            path.chmod(0o644)
        given.chmod(0o755)
        if cell.uid:
            os.chown(made, cell.uid, cell.uid)
        if cell.group is not None:
            cell.group.set(memory=_MEMORY, processes=_TASKS)
        return given, made

    def _box(self, order: Order, given: Path, made: Path, cell: Cell) -> Box:
        return Box(
            command=(
                self.root.python, "-I", f"{_IN}/relay.py", f"{_IN}/index.sock", "--",
                self.root.programs[0], *_arguments(order, self.root.python),
            ),
            root=self.root,
            binds=(Bind(str(given), _IN), Bind(str(made), _OUT, writable=True)),
            environment=_ENVIRONMENT,
            # No code of a package runs here, so new processes (uv asks Python what it is) need no bound.
            seccomp=self.walls.filter(processes=True, sockets="loopback", code=False),
            cell=cell,
            file_bytes=self.bounds.bytes,
        )  # fmt: skip

    async def _run(self, box: Box, output: Path, made: Path) -> str | None:
        """None when it went well, else what the resolver said. Raises PackageFault when it was cut short."""
        with output.open("wb") as sink:
            # From this thread: the box dies with the thread that starts it.
            process = self.walls.start(box, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        try:
            cut = await self._wait(process, made)
        finally:
            process.kill()
            if box.cell is not None and box.cell.group is not None:
                box.cell.group.kill()
            await asyncio.to_thread(process.wait)
        if cut:
            raise PackageFault(cut)
        return None if process.returncode == 0 else await asyncio.to_thread(_read_end, output)

    async def _wait(self, process: subprocess.Popen[bytes], made: Path) -> str:
        """Wait for its end; empty unless it had to be cut short."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.budget_s
        ended = asyncio.Event()
        descriptor = os.pidfd_open(process.pid)
        loop.add_reader(descriptor, ended.set)
        try:
            while loop.time() < deadline:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), min(_LOOK_S, deadline - loop.time()))
                if ended.is_set():
                    return ""
                size, files = await asyncio.to_thread(measure, made)
                if size > 2 * self.bounds.bytes or files > 2 * self.bounds.files:  # with the cache
                    return f"the packages hold more than {self.bounds}"
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return f"the packages could not be resolved and fetched within {self.budget_s:g} s"


def _arguments(order: Order, python: str) -> Sequence[str]:
    common = (
        "pip", "install", "--target", f"{_OUT}/site", "--python", python, "--no-build", "--no-config",
        "--no-progress", "--color", "never", "--default-index", "http://{relay}/simple/",
        "--keyring-provider", "disabled", "--link-mode", "hardlink",
    )  # fmt: skip
    if order.target.platform:
        minor = ".".join(order.target.python.split(".")[:2])
        common += ("--python-platform", order.target.platform, "--python-version", minor)
    else:
        common += ("--compile-bytecode",)
    if order.lock:
        return (*common, "--no-deps", "--require-hashes", "--requirements", f"{_IN}/wheels.lock")
    return (*common, "--", *order.requirements)


def _read_end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4 * MAX_OUTPUT))
        return file.read(4 * MAX_OUTPUT).decode("utf-8", errors="replace")


def _told(said: str, url: str, troubles: Sequence[str], hidden: Sequence[tuple[str, str]]) -> str:
    """What the resolver said, as if it had spoken with the index itself, and what went wrong there."""
    text = _INNER.sub(url, _COLOURS.sub("", said))
    for secret, shown in hidden:
        text = text.replace(secret, shown)
    text = "".join(char for char in text if char.isprintable() or char == "\n").strip()
    lines = [f"index: {trouble}" for trouble in dict.fromkeys(troubles)][:5]
    return "\n".join([*lines, text])[:MAX_OUTPUT]
