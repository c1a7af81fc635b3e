"""Servers that a scan starts here: the walls, the way out, and what is left when they have ended."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault, GatewayFault, OstiaryError
from ostiary.proxy.exchange import Upstream
from ostiary.proxy.stdio.child import Launch, start_here
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.registry.change import printable
from ostiary.sandbox.egress.places import Allowed
from ostiary.sandbox.egress.proxy import EgressProxy, Passage
from ostiary.sandbox.isolation.cache import cache_folder, make_folder
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.root import Root, build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.scan.installed import Installed, find_installed
from ostiary.scan.introspect import Introspection, Manner, Way, introspect
from ostiary.scan.scanned import Network, Target
from ostiary.scan.tail import Tail, last_lines
from ostiary.scan.walled import Walled
from ostiary.store.state import locate
from ostiary.wiring.scan import now

_KEPT: Final = ("HOME", "LANG", "PATH")
_TRIES: Final = 5
_WORDS: Final = 160
_MOST: Final = 5
_DAY: Final = 86_400
_SWITCH: Final = "--unsafe-no-isolation runs it with all that you may do"


class Given(msgspec.Struct, frozen=True):
    """What the person lets the servers do: the hosts, every host, or no walls at all."""

    hosts: tuple[Allowed, ...] = ()
    all_hosts: bool = False
    unsafe_no_isolation: bool = False

    @property
    def network(self) -> Network:
        """What a server can reach by this."""
        if self.unsafe_no_isolation or self.all_hosts:
            return "all"
        return "hosts" if self.hosts else "none"


class Started:
    """Starts servers one after another or beside each other, and ends them with all that they started."""

    def __init__(self, environ: Mapping[str, str], given: Given) -> None:
        """Nothing is looked at yet: a scan of servers that run elsewhere needs no walls."""
        self._environ = environ
        self._given = given
        self._walls: Walls | None = None
        self._python: Root | None = None

    async def ask(self, target: Target, manner: Manner, began: Callable[[], object]) -> Introspection:
        """Start the server, ask it, and end it. Raises OstiaryError, with what it wrote last.

        `began` is told once it runs: what is refused before has run behind nothing and reached nothing.
        """
        tail = Tail()
        try:
            if self._given.unsafe_no_isolation:
                found = await self._openly(target, manner, tail, began)
            else:
                found = await self._walled(target, manner, tail, began)
        except OstiaryError as error:
            said = last_lines(tail.end())
            if said:
                error.message += f"; the last that it wrote: {said}"
            raise
        except BaseException:
            tail.end()
            raise
        tail.end()
        return found

    def close(self) -> None:
        """Give back what the walls stood on."""
        if self._walls is not None:
            self._walls.cells.close()

    async def _openly(
        self, target: Target, manner: Manner, tail: Tail, began: Callable[[], object]
    ) -> Introspection:
        """As any program of this user, with little of our environment."""
        with tempfile.TemporaryDirectory(prefix="ostiary-scan-", ignore_cleanup_errors=True) as empty:
            kept = {name: self._environ[name] for name in _KEPT if name in self._environ}
            command = Command(target.command, target.cwd or empty, {**kept, **target.environment})
            return await _asked(command, partial(start_here, stderr=tail.writing), manner, began)

    async def _walled(
        self, target: Target, manner: Manner, tail: Tail, began: Callable[[], object]
    ) -> Introspection:
        walls = self._decided()
        cache = cache_folder(self._environ)
        # A folder that is named by a variable of ours is nobody else's to see, and neither is the state.
        state = locate(None, self._environ)
        offline = self._given.network == "none"
        if self._given.network == "hosts" and not walls.bounded:
            raise CallerFault(
                "it was not started: a way to hosts takes a process beside it, which cannot be bounded here",
                hint="`ostiary doctor` says how to get cgroups; or scan it without a network",
            )
        found = find_installed(target, self._environ, [cache, state], offline=offline)
        base = cache / "scans"
        make_folder(base)
        _sweep(base)
        with tempfile.TemporaryDirectory(dir=base, ignore_cleanup_errors=True) as folder:
            python = self._interpreter(cache) if self._given.network == "hosts" else None
            environment = dict(target.environment)
            walled = Walled(walls, found, environment, self._given.network, Path(folder), python)
            try:
                async with self._way_out(walled):
                    launch = walled.launcher(tail.writing)
                    return await _asked(Command(found.command), launch, manner, began)
            except OstiaryError as error:
                error.hint = error.hint or self._advice(walls, found)
                raise
            finally:
                await _gone(walls, walled.cell)

    def _decided(self) -> Walls:
        """Decided by the first that needs them. Raises CallerFault where they cannot be had."""
        if self._walls is None:
            try:
                self._walls = Walls.decide("strict", probe(self._environ))
            except CallerFault as error:
                raise CallerFault(
                    f"it was not started, since no walls can stand around it: {error.message}",
                    hint="; ".join(filter(None, (error.hint, _SWITCH))),
                ) from error
        return self._walls

    def _interpreter(self, cache: Path) -> Root:
        if self._python is None:
            self._python = build_root(cache, Path(sys.executable))
        return self._python

    @contextlib.asynccontextmanager
    async def _way_out(self, walled: Walled) -> AsyncGenerator[None]:
        """The allow-list of hosts, where there is one."""
        doors = _Doors()
        if self._given.network != "hosts":
            yield
            return
        proxy = EgressProxy(self._given.hosts, record=doors.note, uid=walled.user)
        try:
            await proxy.start(walled.socket)
        except OSError as error:
            raise GatewayFault(f"no way out can be opened: {error.strerror or error}") from error
        try:
            yield
        except OstiaryError as error:
            if doors.refused:
                error.hint = f"it was refused what it asked for: {'; '.join(doors.refused)}"
            raise
        finally:
            await proxy.close()

    def _advice(self, walls: Walls, found: Installed) -> str:
        """What a server may have lacked behind the walls."""
        lacked = ["the home folder"]
        if self._given.network == "none":
            lacked.append("a network (--allow-host)")
        if not walls.bounded:
            lacked.append("new processes, for want of cgroups to bound them (see `ostiary doctor`)")
        more = (
            f"; the folders that it is to work on were empty: {len(found.emptied)}" if found.emptied else ""
        )
        return f"behind the walls it had not: {', '.join(lacked)}{more}. {_SWITCH}"


class _Doors:
    """What was asked for and refused."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def note(self, passage: Passage) -> None:
        host = passage.place.rpartition(":")[0]
        words = passage.reason if host in passage.reason else f"{passage.place}: {passage.reason}"
        why = printable(words[:_WORDS])
        if passage.verdict == "refused" and passage.place and len(self.refused) < _MOST:
            self.refused += [] if why in self.refused else [why]


async def _asked(
    command: Command, launch: Launch, manner: Manner, began: Callable[[], object]
) -> Introspection:
    def dial() -> Upstream:
        upstream = StdioUpstream(command, single=True, log=lambda _text: None)
        upstream.launch = launch
        upstream.start()
        began()
        return upstream

    return await introspect(Way(dial, _ended), manner)


def _ended(upstream: Upstream) -> bool:
    return isinstance(upstream, StdioUpstream) and upstream.status is not None


def _sweep(base: Path) -> None:
    """Take away what scans that were killed have left: no scan lasts as long as a day."""
    with contextlib.suppress(OSError):
        for left in base.iterdir():
            if left.stat().st_mtime < now() / 1e6 - _DAY:
                shutil.rmtree(left, ignore_errors=True)


async def _gone(walls: Walls, cell: Cell | None) -> None:
    """Wait until nothing runs in the cell any more, and give it back."""
    for _ in range(_TRIES):
        if cell is None or await asyncio.to_thread(walls.cells.give_back, cell):
            break
