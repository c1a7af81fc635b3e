"""`ostiary hook run`: one event in, one answer out, as fast as a program starts.

Fails closed: whatever goes wrong is asked about, and where even that cannot be said the call is blocked.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Final

SECONDS: Final = 10
"""After which it asks: the client would go on without an answer."""

CPU_SECONDS: Final = 15
"""After which the kernel ends it, which blocks the call: an alarm is not heard inside a long search."""

ANSWERED: Final = 0
BLOCKED: Final = 2
"""Every other status lets the call go on."""


class _LateError(Exception):
    pass


def main(arguments: Sequence[str]) -> int:
    """Answer the event on standard input. Returns the exit status."""
    try:
        signal.signal(signal.SIGALRM, _late)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        reason = _reason(arguments)
    except BaseException as error:  # noqa: BLE001 - also an interrupt leaves the call to a person
        reason = _trouble(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        if reason:
            sys.stdout.write(json.dumps(_asking(reason)) + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        return _blocked(reason)
    return ANSWERED


def bound() -> None:
    """Bound the time of this process for good. Not for a process that does anything else."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = CPU_SECONDS if hard == resource.RLIM_INFINITY else min(CPU_SECONDS, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


def _late(number: int, frame: FrameType | None) -> None:
    raise _LateError


def _reason(arguments: Sequence[str]) -> str:
    from pathlib import Path

    from ostiary.scan.hooked import MAX_EVENT, Machine, opinion, read_event
    from ostiary.store.state import locate

    words = list(arguments)
    given = words[1] if len(words) == 2 and words[0] == "--state-dir" else None  # noqa: PLR2004 - an option and its value
    if words and given is None:
        from ostiary.errors import CallerFault

        raise CallerFault("`ostiary hook run` takes no other option than --state-dir")
    event = read_event(sys.stdin.buffer.read(MAX_EVENT + 1))
    script = Path(sys.executable).parent / "ostiary"
    packed = os.environ.get("PEX", "")
    machine = Machine(
        home=Path(os.environ["HOME"]) if os.environ.get("HOME") else Path("/nonexistent"),
        state=locate(given, os.environ),
        environ=os.environ,
        gates=frozenset(str(each) for each in (script.absolute(), packed) if Path(each).is_absolute()),
    )
    return opinion(event, machine)


def _trouble(error: BaseException) -> str:
    """A reason for a person, without a text that an event or a file may have put there."""
    from ostiary.errors import OstiaryError
    from ostiary.registry.change import printable

    if isinstance(error, _LateError):
        return f"Ostiary could not look within {SECONDS} seconds"
    if isinstance(error, OstiaryError):
        return f"Ostiary could not look: {printable(error.message)[:500]}"
    return f"Ostiary could not look: {type(error).__name__}"


def _asking(reason: str) -> dict[str, object]:
    return {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "ask",
            "permissionDecisionReason": f"{reason}. Look at it with `ostiary precheck`.",
        }
    }


def _blocked(reason: str) -> int:
    """There is nobody to say it to: only the exit status is left."""
    try:
        sys.stderr.write(f"ostiary: {reason or 'the answer could not be written'}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
    return BLOCKED
