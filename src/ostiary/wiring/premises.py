"""What all gates of one process share, and a gate put together from it.

Usually there is one gate. A server that calls tools of other servers has one more for each of them.
"""

from __future__ import annotations

import asyncio
import hmac
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ostiary.errors import CallerFault
from ostiary.identity.handles import Handles
from ostiary.policy.charges import Conceal
from ostiary.policy.compile import Compiled
from ostiary.policy.load import load_text
from ostiary.policy.model import Document
from ostiary.proxy.catalogue import Pins
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import Header, Upstream
from ostiary.proxy.mint import Mint
from ostiary.proxy.pin_watch import LockedPins
from ostiary.proxy.policy_file import Reloader, activate, read_policy
from ostiary.proxy.reload import Watch
from ostiary.settings import ProxyOptions
from ostiary.store.notice import EVERY
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir
from ostiary.store.stops import StopBoard
from ostiary.store.tick import TickJournal
from ostiary.wiring.asking import Asking
from ostiary.wiring.webhook import Hook

_SAMPLE: Final = '{"version": "1", "servers": {"code": {...}, "NAME": {...}}}'

Policy = tuple[bytes, Compiled]
"""The policy file's content, and what was made of it."""


class Premises:
    """Store, journal, approvals, ids. To be made inside the running loop, and closed after every gate."""

    def __init__(self, options: ProxyOptions, state: StateDir, store: SqliteStore, hook: Hook | None) -> None:
        self.options = options
        self.state = state
        self.store = store
        self.hook = hook
        self.loop = asyncio.get_running_loop()
        self.journal = TickJournal(store, self.loop)
        self.asking = Asking(state, store)
        self.mint = Mint(store.clock.now)
        self.desks: dict[str, Desk] = {}
        store.handles.wake, store.handles.hurrying = self.journal.wake, self.journal.hurry

    def pins(self, server: str) -> LockedPins | None:
        """The pins of `server` where they are asked for. Read them before anything of it is started."""
        return LockedPins(self.state, server) if self.options.pins == "locked" else None

    def policy(self, server: str) -> Policy | None:
        """The policy as it is meant for `server`. Raises OstiaryError for one that cannot be used."""
        return read_and_activate(self.options, server, keyed(self.store.keys.audit))

    def post(
        self,
        upstream: Upstream,
        server: str,
        policy: Policy | None,
        locked: LockedPins | Pins | None,
        *,
        own_headers: Sequence[Header] = (),
        headers_end_here: bool = False,
        follow: bool = True,
    ) -> Post:
        """A gate in front of `upstream`. `follow` says that `policy` is the file's, changes and all.

        Pins that are `locked` without a file hold as long as the gate does.
        """
        options = self.options
        desk = Desk(
            upstream=upstream,
            journal=self.journal,
            policy=policy[1] if policy else None,
            server=server,
            own_headers=own_headers,
            handles=Handles(self.store.keys.session),
            digest_key=self.store.keys.audit,
            mint=self.mint,
            clock=self.store.clock.now,
            pins=locked.pins if isinstance(locked, LockedPins) else locked,
            track="" if options.listen else self.mint(),
            brake=options.max_requests,
            board=StopBoard(self.state),
            shelf=self.store.handles,
            headers_end_here=headers_end_here,
            approvals=self.asking.source,
        )
        self.asking.begin(desk, self.hook, options.grant)
        self.desks[server] = desk
        return Post(self, desk, self._watches(server, policy if follow else None, desk, locked))

    def _watches(
        self, server: str, policy: Policy | None, desk: Desk, locked: LockedPins | Pins | None
    ) -> list[Watch]:
        """What notices that the policy or the pins have changed."""
        found: list[Watch] = []
        options = self.options
        if options.policy is not None and policy is not None:
            reloader = Reloader(
                desk,
                file=options.policy,
                server=server,
                unsafe_monitor=options.unsafe_monitor,
                unsafe_skip_tests=options.unsafe_skip_tests,
                conceal=keyed(self.store.keys.audit),
            )
            found.append(Watch(self.loop, options.policy, policy[0], reloader))
        if isinstance(locked, LockedPins):
            found.append(locked.watch(self.loop, desk, self.store.clock.now))
            if locked.warning:
                print(f"ostiary: warning: {locked.warning}", file=sys.stderr)
        return found

    async def close(self) -> None:
        """Write what is still to be written, and let go of the store."""
        await self.journal.close()
        self.asking.close()


class Post:
    """A gate in service."""

    def __init__(self, premises: Premises, desk: Desk, watches: Sequence[Watch]) -> None:
        self.desk = desk
        self.premises = premises
        self._watches = watches

    def begin(self, said: str, unsafe: Sequence[str] = ()) -> None:
        """Note the start, and look out for stops. Before anybody can call."""
        self.desk.note("started", said, reasons=unsafe)
        self.desk.stops.watch(EVERY)

    async def close(self) -> None:
        """End what runs, and note the end."""
        desk = self.desk
        for watch in self._watches:
            watch.close()
        await desk.upstream.close()
        desk.stops.close()
        await self.premises.asking.stop(desk)
        desk.brake.tell()
        desk.book.tasks.close()
        desk.note("stopped", "")


def keyed(key: bytes) -> Conceal:
    """What counter keys show of an argument value: a digest that only the key's holder can check."""
    return lambda text: hmac.digest(key, text.encode(), "sha256").hex()[:32]


def several(options: ProxyOptions, file: Path) -> Document | None:
    """A policy file for several servers; None for one that is not understood, which `Premises.policy` tells.

    Raises CallerFault for one that is for a single server: a tool of one would pass for another's.
    """
    document, _ = load_text(read_policy(file), file=str(file), unsafe_monitor=options.unsafe_monitor)
    if document is not None and document.single is not None:
        raise CallerFault(
            f"{file}: code calls tools of several servers, and this policy is for one",
            hint=f"put the rules below their servers: {_SAMPLE}",
        )
    return document


def read_and_activate(options: ProxyOptions, server: str, conceal: Conceal) -> Policy | None:
    """The policy file's content and the compiled policy; None without a policy file."""
    if options.policy is None:
        return None
    content = read_policy(options.policy)
    compiled = activate(
        content,
        file=str(options.policy),
        server=server,
        unsafe_monitor=options.unsafe_monitor,
        unsafe_skip_tests=options.unsafe_skip_tests,
        conceal=conceal,
    )
    return content, compiled
