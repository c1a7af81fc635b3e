"""What a handler may raise beyond an `OstiaryError` to choose how its request is answered."""

from __future__ import annotations

from collections.abc import Mapping

from ostiary.errors import OstiaryError

METHOD_NOT_FOUND = -32601
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602
INTERNAL = -32603
NO_RESOURCE = -32002
MISSING_CAPABILITY = -32021
BUSY = 4429


class RpcFault(OstiaryError):
    """A request that is answered with a JSON-RPC error: `code`, `message` and `data`."""

    def __init__(
        self, code: int, message: str, data: Mapping[str, object] | None = None, *, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.data = data


class NotDeclared(RpcFault):
    """The client did not say that it can be asked in the way that a handler wants to ask."""

    def __init__(self, capability: str, *, modern: bool) -> None:
        code = MISSING_CAPABILITY if modern else INVALID_REQUEST
        data: Mapping[str, object] = {"requiredCapabilities": {capability: {}}}
        super().__init__(code, f"the client did not declare `{capability}`", data)
        self.capability = capability


class InputNeeded(BaseException):
    """Ends one round of a modern request: the client has to answer `questions` and to ask again.

    Not an `Exception`, so that a handler which catches everything does not swallow the question.
    """

    def __init__(self, questions: Mapping[str, Mapping[str, object]]) -> None:
        super().__init__("input needed")
        self.questions = questions
