"""Prompts: texts that a person picks, with arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

import msgspec

from ostiary.servers.core.content import Block
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.resource import Complete
from ostiary.servers.core.tool import definition


class PromptMessage(msgspec.Struct, frozen=True):
    """One message of a prompt."""

    content: Block
    role: Literal["user", "assistant"] = "user"


class PromptArgument(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of a prompt; all values are strings."""

    name: str
    description: str = ""
    required: bool = False

    def listed(self) -> dict[str, object]:
        """Its entry in `prompts/list`."""
        return definition(self.name, description=self.description) | {"required": self.required}


PromptHandler = Callable[[Mapping[str, str], CallContext], Awaitable[Sequence[PromptMessage]]]


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt."""

    name: str
    handler: PromptHandler
    arguments: tuple[PromptArgument, ...] = ()
    complete: Complete | None = None
    title: str = ""
    description: str = ""

    def listed(self) -> dict[str, object]:
        """Its entry in `prompts/list`."""
        shown = definition(self.name, title=self.title, description=self.description)
        if self.arguments:
            shown["arguments"] = [argument.listed() for argument in self.arguments]
        return shown
