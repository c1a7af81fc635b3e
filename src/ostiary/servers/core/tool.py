"""A tool: its names, its schemas and the function behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

from ostiary.servers.core.content import ToolResult
from ostiary.servers.core.context import CallContext

Arguments = dict[str, Any]
ToolHandler = Callable[[Arguments, CallContext], Awaitable[ToolResult]]
JsonSchema = Mapping[str, object]

Naming = Literal["bare", "prefixed", "both"]
"""Which spelling of a tool's name is listed. All of them are accepted whatever is listed."""

NOTHING: JsonSchema = {"type": "object", "properties": {}, "additionalProperties": False}
"""The input schema of a tool without arguments."""


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """Another name that a tool answers to, as other servers call it.

    `convert` makes the tool's arguments of those that the other server takes, whose schema is
    `input_schema`; it raises CallerFault for what cannot be converted. `answer` makes the other
    server's result of the tool's. An alias is listed only under the naming `both`.
    """

    name: str
    convert: Callable[[Arguments], Arguments] | None = None
    answer: Callable[[ToolResult], ToolResult] | None = None
    input_schema: JsonSchema | None = None
    output_schema: JsonSchema | None = None
    title: str = ""
    description: str = ""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One tool.

    `input_schema` is what is listed. `accepts`, where it is given, is what arguments are held
    against instead: for extras that a listing leaves out to be byte-equal to another server's.
    `prefix` makes the second spelling `PREFIX_NAME`. `annotations` are the hints of MCP
    (`readOnlyHint`, `destructiveHint`, `idempotentHint`, `openWorldHint`). An `unlisted` tool can be
    called by who knows of it.
    """

    name: str
    handler: ToolHandler
    input_schema: JsonSchema = msgspec.field(default_factory=lambda: NOTHING)
    accepts: JsonSchema | None = None
    output_schema: JsonSchema | None = None
    title: str = ""
    description: str = ""
    annotations: Mapping[str, object] = {}
    meta: Mapping[str, object] = {}
    prefix: str = ""
    aliases: tuple[Alias, ...] = ()
    unlisted: bool = False

    @property
    def prefixed(self) -> str:
        """The name with its prefix; the bare one where there is none."""
        return f"{self.prefix}_{self.name}" if self.prefix else self.name

    def listed(self, naming: Naming) -> list[dict[str, object]]:
        """Its definitions in `tools/list`, one for each spelling that `naming` shows."""
        if self.unlisted:
            return []
        names = {"bare": (self.name,), "prefixed": (self.prefixed,), "both": (self.name, self.prefixed)}
        shown = [self._definition(name) for name in dict.fromkeys(names[naming])]
        if naming == "both":
            shown += [self._alias(alias) for alias in self.aliases]
        return shown

    def _definition(self, name: str) -> dict[str, object]:
        return definition(
            name,
            title=self.title,
            description=self.description,
            inputSchema=self.input_schema,
            outputSchema=self.output_schema,
            annotations=self.annotations,
            _meta=self.meta,
        )

    def _alias(self, alias: Alias) -> dict[str, object]:
        """An alias that changes its answers has the output schema that it names, or none."""
        output = self.output_schema if alias.answer is None else alias.output_schema
        return definition(
            alias.name,
            title=alias.title or self.title,
            description=alias.description or self.description,
            inputSchema=alias.input_schema or self.input_schema,
            outputSchema=output,
            annotations=self.annotations,
        )


def definition(name: str, **members: object) -> dict[str, object]:
    """An object with `name` and those members that say something."""
    return {"name": name} | {key: value for key, value in members.items() if value not in ("", None, {})}
