"""Counters that are nearly used up, as the gates would count them now. Never writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple, cast

from ostiary.errors import OstiaryError
from ostiary.policy.charges import owner_of
from ostiary.policy.load import load_text
from ostiary.policy.model import Document, Limit, Policy
from ostiary.proxy.policy_file import policy_for, read_policy
from ostiary.store.keys import AUDIT
from ostiary.store.query import Reader
from ostiary.store.state import StateDir, read_private
from ostiary.store.view import View

NEAR: Final = Decimal("0.8")
MAX_SHOWN: Final = 3
MAX_COUNTERS: Final = 5_000
"""More counters than this are not looked through each second."""


class NearLimit(NamedTuple):
    """A counter at 80 % or more of its ceiling. `scope` says whose it is."""

    used: Decimal
    most: Decimal
    rule: str
    scope: str


class _Ceiling(NamedTuple):
    rule: str
    most: Decimal


class NearLimits:
    """The counters of one state directory, kept up with the journal from look to look."""

    def __init__(self) -> None:
        self._view = View()
        self._loaded = False
        self._policies: dict[str, tuple[float, Document | None]] = {}

    def look(self, state: StateDir, gates: list[dict[str, str]], now: int) -> list[NearLimit]:
        """The fullest counters of the gates' policies, fullest first; empty when it cannot be known.

        `now` is in microseconds since the epoch.
        """
        try:
            self._catch_up(state)
            ceilings = dict(self._ceilings(gates))
        except (OstiaryError, OSError):
            self._loaded = False
            return []
        return sorted(self._near(ceilings, now), key=lambda one: one.used / one.most, reverse=True)[
            :MAX_SHOWN
        ]

    def _catch_up(self, state: StateDir) -> None:
        reader = Reader(state)
        try:
            if not self._loaded or reader.last_seq() < self._view.seq:
                self._view = View()
                self._view.load(reader.connection, read_private(state.keys / AUDIT))
                self._loaded = True
            self._view.catch_up(reader.connection)
        finally:
            reader.close()

    def _ceilings(self, gates: list[dict[str, str]]) -> Iterator[tuple[tuple[str, str, str, str], _Ceiling]]:
        """What limits there are, by the parts of their counters' keys."""
        for gate in gates:
            server, file = gate.get("server", ""), gate.get("policy", "")
            document = self._policy(file) if gate.get("revision") else None
            if document is None:
                continue
            policy = policy_for(document, server)
            for owner, limit in _limits(policy):
                if limit.window is not None and limit.max is not None:
                    length = f"{limit.window.seconds}s" + ("/calendar" if limit.window.calendar else "")
                    yield (server, owner, limit.counter, length), _Ceiling(limit.id, limit.max * limit.per)
                if limit.max_concurrent is not None:
                    key = (server, owner, limit.counter, "concurrent")
                    yield key, _Ceiling(limit.id, Decimal(limit.max_concurrent))

    def _policy(self, file: str) -> Document | None:
        """The policy of a running gate, read again only when its file changed."""
        changed = Path(file).stat().st_mtime
        known = self._policies.get(file)
        if known is None or known[0] != changed:
            document, _ = load_text(read_policy(Path(file)), file=file, unsafe_monitor=True)
            known = self._policies[file] = (changed, document)
        return known[1]

    def _near(self, ceilings: Mapping[tuple[str, str, str, str], _Ceiling], now: int) -> Iterator[NearLimit]:
        keys = self._view.ledger.keys()
        for key in keys if len(keys) <= MAX_COUNTERS else ():
            server, holder, owner, counter, length = cast("list[str]", json.loads(key)[:5])
            ceiling = ceilings.get((server, owner, counter, length))
            if ceiling is None or not ceiling.most:
                continue
            used = Decimal(self._view.ledger.used(key, now))
            if used >= NEAR * ceiling.most:
                yield NearLimit(used, ceiling.most, ceiling.rule, holder)


def _limits(policy: Policy) -> Iterator[tuple[str, Limit]]:
    for limit in policy.all_tools.limits:
        yield owner_of(None), limit
    for tool, rules in policy.tools.items():
        for limit in rules.limits:
            yield owner_of(tool), limit
