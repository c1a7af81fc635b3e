"""Questions that a tool has for its client: a form for the person, or work for the client's model.

On the legacy era each is a request of the server's own, on the modern era a part of a result after
which the client calls again. What comes back was made by the client: material, never permission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ostiary.servers.core.content import Json


class Question(msgspec.Struct, frozen=True):
    """One request to the client: its method, its params and the capability that it takes."""

    method: str
    params: Json
    capability: str

    def request(self) -> dict[str, object]:
        """The request without envelope, as a modern result carries it."""
        return {"method": self.method, "params": self.params} if self.params else {"method": self.method}


def form(message: str, schema: Json) -> Question:
    """A form for the person. `schema` is an object of primitive properties (MCP, elicitation)."""
    params = {"message": message, "requestedSchema": schema}
    return Question("elicitation/create", params, "elicitation")


def sampling(messages: Sequence[Json], *, max_tokens: int, more: Json | None = None) -> Question:
    """Work for the client's model. `more` are further params, such as `systemPrompt`."""
    params = {"messages": list(messages), "maxTokens": max_tokens, **(more or {})}
    return Question("sampling/createMessage", params, "sampling")


def roots() -> Question:
    """Which folders the client is about."""
    return Question("roots/list", {}, "roots")


Answers = Mapping[str, Json]
"""Results of the client, by the key of their question."""
