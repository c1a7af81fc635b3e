"""How a run ended, in the words of its record. Pure."""

from __future__ import annotations

import signal
from typing import Literal, NamedTuple

from ostiary.errors import OstiaryError
from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.record import Fault, Status
from ostiary.sandbox.runner import Ended

Stopped = Literal["timeout", "flood", "cancelled"]
"""Why the engine itself ended a run: `flood` is for output beyond what is kept."""


class Verdict(NamedTuple):
    """A status, and the fault that explains it."""

    status: Status
    fault: Fault | None = None


def of(ended: Ended, stopped: Stopped | None, limits: Limits) -> Verdict:
    """What became of a run that ended so; `stopped` if the engine did it."""
    if stopped is not None and ended.how != "returned":
        return of_stop(stopped, limits)
    match ended.how:
        case "returned":
            return Verdict("success" if ended.fault is None else "error", ended.fault)
        case "expired":
            return of_stop("timeout", limits)
        case "exited":
            return _of_exit(ended.exit_code or 0)
        case "signalled":
            return _of_signal(ended, limits)
        case "oom":
            text = f"the run needed more than {limits.memory // MIB} MB of memory and was ended"
            return Verdict("oom", Fault("limit", "MemoryLimit", text))
        case "paused":
            return Verdict("paused")
        case "lost":
            text = "the process that ran the code is gone, and nothing says why"
            return Verdict("killed", ended.fault or Fault("worker", "WorkerLost", text))


def of_stop(stopped: Stopped, limits: Limits) -> Verdict:
    """What became of a run that the engine ended."""
    match stopped:
        case "timeout":
            text = f"the run took longer than {limits.wall_ms} ms and was ended"
            return Verdict("timeout", Fault("limit", "TimeLimit", text))
        case "flood":
            text = f"the run wrote more than {limits.kept_bytes} bytes and was ended"
            return Verdict("killed", Fault("limit", "OutputLimit", text))
        case "cancelled":
            return Verdict("cancelled", Fault("limit", "Cancelled", "the run was cancelled"))


def _of_exit(code: int) -> Verdict:
    if code == 0:
        return Verdict("success")
    return Verdict("error", Fault("exit", "SystemExit", f"the code left with status {code}"))


def _of_signal(ended: Ended, limits: Limits) -> Verdict:
    number = ended.signal or 0
    if number == signal.SIGXCPU:
        text = f"the run used more than {limits.cpu_ms} ms of processor time and was ended"
        return Verdict("timeout", Fault("limit", "CpuLimit", text))
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return Verdict("error", Fault("signal", name, f"the process was ended by {name}"))


def in_words(fault: OstiaryError) -> str:
    """A fault of ours as one text, with what to do about it."""
    return fault.message if fault.hint is None else f"{fault.message}\nhint: {fault.hint}"
