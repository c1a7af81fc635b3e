"""The calls of tools that one run makes: counted, bounded and written down, whatever runs the code."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

from ostiary.errors import OstiaryError
from ostiary.sandbox.record import Fault, ToolCall
from ostiary.sandbox.toolbox import Toolbox, ToolFault, ToolHeld

CALL_TOOL: Final = "call_tool"
"""The function that calls a tool by a name that is text: `call_tool("mcp_Time_now", {"zone": "UTC"})`."""
TOOL_ERROR: Final = "ToolError"
"""The name that code has for what a failed call raises."""
MAX_RESULT: Final = 16 << 20
"""Bytes of a result, as JSON."""
_MAX_WHY: Final = 1_000
_BAD_CALL: Final = -32_602
_BROKEN: Final = -32_603


class TooManyCalls(Exception):
    """The run made more calls than it may. It ends; no code can catch this."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the run called tools more than {most} times and was ended")

    def fault(self) -> Fault:
        """As the run's record has it."""
        return Fault("limit", "CallLimit", str(self))


class NoSuchTool(Exception):
    """The code used a name that is not bound; its text says what is missing. A NameError for the code."""


class Result(NamedTuple):
    """What a call returned, and its JSON text."""

    value: Any
    text: bytes


class InnerCalls:
    """What one run calls through `tools`, at most `most` times. `before` were made before it was paused."""

    def __init__(self, tools: Toolbox | None, most: int, before: int = 0) -> None:
        self._tools = tools
        self._most = most
        self.count = before
        self.latest = ""
        """The tool that was called last, by its own name."""

        self.ended: list[ToolCall] = []

    def knows(self, name: str) -> bool:
        """Whether code may use `name` as a function, be it to learn what is missing."""
        tools = self._tools
        if tools is None:
            return False
        return name == CALL_TOOL or name in tools.names or tools.missing(name) is not None

    async def call(self, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> Result:
        """The result of one call. Raises ToolFault, ToolHeld, NoSuchTool and TooManyCalls."""
        if name == CALL_TOOL:
            name, positional, named = _unpacked(positional, named)
            name = self._tools.spelled(name) if self._tools is not None else name
        tools = self._tools
        if tools is None or name not in tools.names:
            told = tools.missing(name) if tools is not None else None
            raise NoSuchTool(told or f"name '{name}' is not defined")
        if self.count >= self._most:
            raise TooManyCalls(self._most)
        self.count += 1
        self.latest = name
        began = time.perf_counter()
        try:
            value = await tools.call(name, positional, named)
            result = Result(value, _encoded(name, value))
        except ToolHeld:  # not ended: whoever goes on with the run writes it down
            raise
        except ToolFault as fault:
            self._note(name, began, fault.message)
            raise
        except OstiaryError as error:
            self._note(name, began, error.message)
            raise ToolFault(error.message, _BROKEN) from error
        except BaseException:
            self._note(name, began, "the run ended before the call did")
            raise
        self._note(name, began, "")
        return result

    def note(self, name: str, why: str) -> None:
        """A call that ended elsewhere: while the run was paused."""
        self.ended.append(ToolCall(name, ok=not why, ms=0.0, why=why[:_MAX_WHY]))

    def _note(self, name: str, began: float, why: str) -> None:
        took = round((time.perf_counter() - began) * 1000, 3)
        self.ended.append(ToolCall(name, ok=not why, ms=took, why=why[:_MAX_WHY]))


def _unpacked(
    positional: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[str, tuple[Any, ...], Mapping[str, Any]]:
    given = dict(zip(("name", "arguments"), positional, strict=False)) | dict(named)
    name, arguments = given.get("name"), given.get("arguments", {})
    if len(positional) > 2 or not isinstance(name, str) or not isinstance(arguments, dict):  # noqa: PLR2004 - its two parameters
        raise ToolFault('expected call_tool("the tool", {"its": "arguments"})', _BAD_CALL)
    return name, (), cast("dict[str, Any]", arguments)


def _encoded(name: str, result: Any) -> bytes:
    """A result as JSON text. Raises ToolFault for one that is none, or too large."""
    try:
        text = msgspec.json.encode(result)
    except OverflowError:  # an integer beyond 64 bits, which JSON can say
        text = json.dumps(result, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolFault(f"the result of {name} is not JSON", _BROKEN) from error
    if len(text) > MAX_RESULT:
        raise ToolFault(
            f"the result of {name} has {len(text)} bytes, and {MAX_RESULT} is the most that code is given: "
            "ask the tool for less at a time"
        )
    return text


def told(message: str, code: int) -> str:
    """A fault as text that has its code, for where an exception carries text only."""
    return f"{message} (code {code})" if code else message
