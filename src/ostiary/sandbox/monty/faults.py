"""What Monty raises, in the words of a record."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ostiary.sandbox.record import Fault
from ostiary.sandbox.runner import Ended

if TYPE_CHECKING:
    from pydantic_monty import MontyRuntimeError, MontySyntaxError

_MAX_MESSAGE: Final = 16_384
_MAX_TRACEBACK: Final = 131_072
_OUT_OF_MEMORY: Final = ("memory limit exceeded", "the worker exceeded its memory limit")
_OUT_OF_TIME: Final = ("feed time limit exceeded", "turn time limit exceeded")
_FILE: Final = re.compile(r'^  File "<python-input-(\d+)>"', re.MULTILINE)
_LOOPS_ITSELF: Final = "cannot suspend in this synchronous context"


def ended(error: MontyRuntimeError | MontySyntaxError, name_of: Callable[[int], str]) -> Ended:
    """How a run ended that raised this. `name_of` is the file name of the code that was fed as n-th."""
    kind, message = _kind(error), error.display("msg")[:_MAX_MESSAGE]
    if kind == "TimeoutError" and message.startswith(_OUT_OF_TIME) and not error.traceback():
        return Ended(how="signalled", signal=int(signal.SIGXCPU))
    if kind == "MemoryError" and message.startswith(_OUT_OF_MEMORY):
        return Ended(how="oom")
    if _LOOPS_ITSELF in message:
        message += ": call it in a loop or a comprehension, and not from map, filter, sorted or a key"
    trace = _FILE.sub(lambda found: f'  File "{name_of(int(found[1]))}"', error.display("traceback"))
    return Ended(how="returned", fault=Fault("exception", kind, message, trace[:_MAX_TRACEBACK]))


def _kind(error: MontyRuntimeError | MontySyntaxError) -> str:
    return error.display("type-msg").partition(":")[0][:200]
