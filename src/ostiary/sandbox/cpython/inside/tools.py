"""Tools as functions: a call goes out on the socket of the jobs, its answer comes back on it.

The host decides about every call, counts it, and believes nothing of what is said here.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ostiary.sandbox.cpython.inside import frames

_BAD_CALL = -32_602
_MAX_ARGUMENTS = 16 << 20


class ToolError(Exception):
    """A call that failed. `code` is that of the JSON-RPC error, or 0 where the tool itself said so."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{message} (code {self.code})" if self.code else message


ToolError.__module__ = "builtins"  # so that a traceback calls it what the code calls it


class Line:
    """The way out. Calls are numbered from 1 on, and there is one at a time, whatever threads there are."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._turn = threading.Lock()
        self._made = 0
        self._owner = os.getpid()

    def call(self, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Make one call; its result. Raises ToolError, and NameError for a tool that is not there."""
        try:
            arguments = json.dumps([positional, named], allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ToolError(f"the arguments of {name} are not JSON: {error}", _BAD_CALL) from None
        if len(arguments) > _MAX_ARGUMENTS:
            raise ToolError(f"the arguments of {name} have more than {_MAX_ARGUMENTS} characters", _BAD_CALL)
        if os.getpid() != self._owner:
            raise ToolError("a process that the code started cannot call tools", _BAD_CALL)
        with self._turn:
            self._made += 1
            frames.send(self._channel, {"call": self._made, "name": name}, arguments)
            answer = frames.receive(self._channel)
        if answer is None:
            os._exit(0)  # the host has closed: so does everything here
        fields, body = answer
        if fields["ok"]:
            return json.loads(bytes(body))
        if fields["unknown"]:
            raise NameError(fields["message"])
        raise ToolError(fields["message"], fields["code"])


def functions(line: Line, names: list[str]) -> dict[str, Any]:
    """What code finds among its globals."""
    return {"ToolError": ToolError} | {name: _function(line, name) for name in names}


def _function(line: Line, name: str) -> Callable[..., Any]:
    def tool(*positional: Any, **named: Any) -> Any:
        return line.call(name, positional, named)

    tool.__name__ = tool.__qualname__ = name
    return tool
