"""Runs `ostiary proxy` and kills it with SIGKILL at one step of a call.

usage: killer.py STEP COUNT -- ARGUMENTS OF ostiary proxy

STEP is one of `reserve` (limits are reserved, the transaction is open), `intent` (committed, not
yet forwarded), `send` (the request was handed to the upstream), `response` (the answer arrived),
`commit` (the outcome is about to be written) and `never`. The kill is at the COUNT-th time.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from ostiary.calls.journal import Committed
from ostiary.cli.proxy import main
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.relay import Relay
from ostiary.quotas.ledger import Ledger
from ostiary.store.sqlite import SqliteStore

STEPS = ("reserve", "intent", "send", "response", "commit")


class Countdown:
    def __init__(self, count: int) -> None:
        self.left = count

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def after(owner: Any, name: str, when: Callable[..., bool], countdown: Countdown) -> None:
    """Kill after `owner.name` returned a result for which `when` holds."""
    original = getattr(owner, name)

    def replaced(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        if when(result, *args):
            countdown.tick()
        return result

    setattr(owner, name, replaced)


def before(owner: Any, name: str, when: Callable[..., bool], countdown: Countdown) -> None:
    """Kill before `owner.name` runs with arguments for which `when` holds."""
    original = getattr(owner, name)

    def replaced(*args: Any, **options: Any) -> Any:
        if when(*args):
            countdown.tick()
        return original(*args, **options)

    setattr(owner, name, replaced)


def has_kind(entries: Any, kind: str) -> bool:
    return any(entry is not None and entry.record.kind == kind for entry in entries)


def is_call(request: Any) -> bool:
    return request.method == "POST" and b'"tools/call"' in request.body


def arm(step: str, countdown: Countdown) -> None:
    if step == "reserve":
        after(Ledger, RESERVE, lambda result, ledger, charges, now: bool(charges), countdown)
    elif step == "intent":
        after(
            SqliteStore,
            "commit",
            lambda replies, store, entries: has_kind(entries, "intent") and Committed() in replies,
            countdown,
        )
    elif step == "send":
        after(HttpUpstream, "send", lambda flow, upstream, request, sink: is_call(request), countdown)
    elif step == "response":
        before(Relay, "head", lambda relay, head: relay._judge._own_method == "tools/call", countdown)
    elif step == "commit":
        before(SqliteStore, "commit", lambda store, entries: has_kind(entries, "outcome"), countdown)


RESERVE = "reserve"

if __name__ == "__main__":
    arm(sys.argv[1], Countdown(int(sys.argv[2])))
    sys.exit(main(sys.argv[4:]))
