"""The composition root of scans: every server of a list is asked for what it offers, one beside another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import structs

from ostiary import VERSION
from ostiary.errors import OstiaryError
from ostiary.proxy.exchange import nothing
from ostiary.registry.change import printable
from ostiary.sandbox.egress.places import read_allowed
from ostiary.sandbox.masks import LEAST, Masks
from ostiary.scan.concealed import masks_of
from ostiary.scan.introspect import Era, Introspection, Manner, Way, introspect
from ostiary.scan.scanned import Scanned, Target
from ostiary.settings import ProxyOptions, checked_header
from ostiary.wiring.network import prepare_network
from ostiary.wiring.proxy import make_upstream, run
from ostiary.wiring.scan import now
from ostiary.wiring.scan_walls import Given, Started

AT_ONCE: Final = 4
"""Servers that are asked at the same time."""
MAX_FAULT: Final = 2_000
_OURS: Final = frozenset({"accept", "content-type"})
"""Headers that every request has, whatever a configuration says."""


def scan_all(  # noqa: PLR0913 - each thing that a person may say of a scan, all named
    targets: Sequence[Target],
    environ: Mapping[str, str],
    *,
    on_progress: Callable[[str], None],
    hosts: tuple[str, ...] = (),
    all_hosts: bool = False,
    unsafe_no_isolation: bool = False,
    seconds: float = 60,
    era: Era | None = None,
    authorities: Path | None = None,
) -> tuple[Scanned, ...]:
    """Ask every server for what it offers, in the order of `targets`; a bad one never stops the rest.

    `on_progress` is told the name of each as it is begun. `seconds` bound each of them. They are asked in
    `era`, where None tries both; `authorities` may vouch for those over https. What runs here does so behind
    walls, without a network unless `hosts` names what it may reach, or `all_hosts`. With
    `unsafe_no_isolation` it runs as any program of this user does. To be called in the main thread.
    """
    given = Given(tuple(map(read_allowed, hosts)), all_hosts, unsafe_no_isolation)
    asked = Manner((), VERSION, era, seconds, everything=True)
    return run(_Work(environ, on_progress, given, asked, authorities).all(targets))


class _Work:
    def __init__(
        self,
        environ: Mapping[str, str],
        on_progress: Callable[[str], None],
        given: Given,
        manner: Manner,
        authorities: Path | None,
    ) -> None:
        self._environ = environ
        self._on_progress = on_progress
        self._given = given
        self._manner = manner
        self._authorities = authorities
        self._started = Started(environ, given)

    async def all(self, targets: Sequence[Target]) -> tuple[Scanned, ...]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(target: Target) -> Scanned:
            async with turns:
                self._on_progress(printable(target.name))
                return await self._one(target)

        try:
            return tuple(await asyncio.gather(*(one(target) for target in targets)))
        finally:
            self._started.close()

    async def _one(self, target: Target) -> Scanned:
        """Never raises: whatever went wrong is the fault of this one alone."""
        clock = asyncio.get_running_loop().time
        began = clock()
        found: Introspection | None = None
        fault, hint = "", ""
        here = target.transport == "stdio"
        ran = asyncio.Event()
        try:
            found = await (self._command(target, ran) if here else self._url(target))
        except OstiaryError as error:
            fault, hint = error.message, error.hint or ""
        except Exception as error:  # noqa: BLE001 - hostile input may find a mistake of ours
            fault = f"this server could not be scanned: {type(error).__name__}"
        masks = _masks(target)
        return Scanned(
            target=target,
            found=found,
            fault=_shown(fault, masks),
            hint=_shown(hint, masks),
            isolated=ran.is_set() and not self._given.unsafe_no_isolation,
            network="remote" if not here else self._given.network if ran.is_set() else "none",
            seconds=round(clock() - began, 3),
        )

    async def _command(self, target: Target, ran: asyncio.Event) -> Introspection:
        return await self._started.ask(target, self._manner, ran.set)

    async def _url(self, target: Target) -> Introspection:
        headers = tuple(
            checked_header(name, value) for name, value in target.headers if name.strip().lower() not in _OURS
        )
        options = ProxyOptions(
            policy=None,
            upstream=target.url,
            command=(),
            listen=None,
            state_dir=None,
            upstream_transport="auto" if target.transport == "stdio" else target.transport,
            upstream_ca=self._authorities,
        )
        network = prepare_network(options, self._environ, now)
        dial = partial(make_upstream, options, asyncio.Event(), network, nothing)
        era = "legacy" if target.transport == "sse" else self._manner.era  # the only one that sse has
        return await introspect(Way(dial), structs.replace(self._manner, headers=headers, era=era))


def _masks(target: Target) -> Masks:
    """What the configuration gives the server, which it may say back."""
    given = Masks(value for value in target.environment.values() if len(value) >= LEAST)
    return Masks.together((masks_of(target), given))


def _shown(text: str, masks: Masks) -> str:
    return masks.masked(printable(text).encode()).decode(errors="replace")[:MAX_FAULT]
