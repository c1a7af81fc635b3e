"""Calls of tools that a child makes, from its frame to the answer. What it sends may be forged."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

from ostiary.sandbox.cpython import protocol
from ostiary.sandbox.inner import CALL_TOOL, InnerCalls, NoSuchTool
from ostiary.sandbox.runner import Job
from ostiary.sandbox.toolbox import ToolFault, ToolHeld

_NAME: Final = re.compile(r"[^\W\d]\w*")
_MAX_NAMES: Final = 5_000


def functions_of(job: Job) -> list[str]:
    """The names that a child has functions for: tools, and those whose functions say what is missing."""
    tools = job.tools
    if tools is None:
        return []
    used = sorted(set(_NAME.findall(job.code)))[:_MAX_NAMES]
    missing = [name for name in used if name not in tools.names and tools.missing(name) is not None]
    return [CALL_TOOL, *sorted(tools.names), *missing]


async def answered(
    inner: InnerCalls, call: protocol.Call, on_end: Callable[[Callable[[], object]], object]
) -> bytes | None:
    """The answer to a call, as a message; None when the child ended before there was one.

    `on_end` is told what to do when the child ends. Raises TooManyCalls.
    """
    waiting = asyncio.timeout(None)
    loop = asyncio.get_running_loop()
    try:
        async with waiting:
            on_end(lambda: waiting.reschedule(loop.time()))
            result = await inner.call(call.name, call.positional, call.named)
            return protocol.message({"answer": call.number, "ok": True}, result.text)
    except NoSuchTool as error:
        return _failed(call, str(error), 0, unknown=True)
    except (ToolFault, ToolHeld) as fault:
        return _failed(call, fault.message, fault.code)
    except TimeoutError:
        if not waiting.expired():
            raise
        return None
    finally:
        on_end(lambda: None)


def _failed(call: protocol.Call, message: str, code: int, *, unknown: bool = False) -> bytes:
    fields: dict[str, Any] = {"answer": call.number, "ok": False, "unknown": unknown}
    return protocol.message(fields | {"message": message, "code": code})


def described(job: Job) -> dict[str, Any]:
    """What a job says of tools and outputs: nothing where it has none."""
    fields: dict[str, Any] = {}
    if job.tools is not None:
        fields["tools"] = functions_of(job)
    if job.outputs:
        fields["outputs"] = list(job.outputs)
    return fields


class Numbers:
    """The numbers that the calls of a child have to have."""

    def __init__(self) -> None:
        self._last = 0

    def read(self, text: bytes, body: bytes) -> protocol.Call | None:
        """The call that a message is, or None for an answer. Raises BrokenError for one out of order."""
        call = protocol.call(text, body)
        if call is not None:
            self._last += 1
            if call.number != self._last:
                raise protocol.BrokenError("a call out of order")
        return call
