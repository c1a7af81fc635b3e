"""What a server offers, by name, compiled once when the server is made."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from ostiary.errors import CallerFault
from ostiary.servers.core.content import STRUCTURED_SINCE
from ostiary.servers.core.fault import INVALID_PARAMS, RpcFault
from ostiary.servers.core.prompt import Prompt
from ostiary.servers.core.resource import Resource, ResourceTemplate, pattern
from ostiary.servers.core.schema import Schema
from ostiary.servers.core.tool import Alias, JsonSchema, Naming, Tool
from ostiary.wire.mirror import Parameter, parameters_of

_CURSOR = re.compile(r"[0-9]{1,9}")


class Entry(msgspec.Struct, frozen=True):
    """One accepted name of a tool. `before` checks an alias's own arguments, `inputs` the tool's."""

    tool: Tool
    inputs: Schema
    outputs: Schema | None
    parameters: tuple[Parameter, ...]
    alias: Alias | None = None
    before: Schema | None = None


class Extra(Protocol):
    """Tools that come and go while a server runs, of which each owner has some.

    Their names must not be those of others. They check their arguments themselves: whoever wrote them may
    be a stranger, whose schema wants its work bounded.
    """

    def listed(self, owner: str) -> Sequence[Tool]:
        """What `owner` is shown."""
        ...

    def find(self, owner: str, name: str, call: str) -> Tool | None:
        """What `owner` may call by `name`, in the call that a gate has given the id `call`."""
        ...


class Nothing:
    """No such tools."""

    def listed(self, owner: str) -> Sequence[Tool]:
        """See `Extra.listed`."""
        return ()

    def find(self, owner: str, name: str, call: str) -> Tool | None:
        """See `Extra.find`."""
        return None


_ANY: Final = Schema({"type": "object"})


class Catalogue:
    """All that a server offers.

    Raises CallerFault where two tools have one name, or a schema cannot be used.
    """

    def __init__(
        self,
        tools: Iterable[Tool],
        resources: Iterable[Resource],
        templates: Iterable[ResourceTemplate],
        prompts: Iterable[Prompt],
        naming: Naming,
    ) -> None:
        self.tools: dict[str, Entry] = {}
        self.listed: list[dict[str, object]] = []
        for tool in tools:
            self._add(tool)
            self.listed += tool.listed(naming)
        self.resources = {one.uri: one for one in resources}
        self.templates = [(pattern(one.uri_template), one) for one in templates]
        self.prompts = {one.name: one for one in prompts}

    def _add(self, tool: Tool) -> None:
        inputs = _compiled(tool.name, tool.accepts or tool.input_schema)
        outputs = None if tool.output_schema is None else _compiled(tool.name, tool.output_schema)
        parameters = parameters_of(tool.input_schema)
        for name in dict.fromkeys((tool.name, tool.prefixed)):
            self._claim(name, Entry(tool, inputs, outputs, parameters))
        for alias in tool.aliases:
            before = None if alias.input_schema is None else _compiled(alias.name, alias.input_schema)
            after = outputs
            if alias.answer is not None:
                after = None if alias.output_schema is None else _compiled(alias.name, alias.output_schema)
            self._claim(alias.name, Entry(tool, inputs, after, parameters, alias, before))

    def _claim(self, name: str, entry: Entry) -> None:
        if name in self.tools:
            raise CallerFault(f"two tools answer to the name `{name}`", hint="rename one, or drop an alias")
        self.tools[name] = entry

    def listing(self, revision: str, extra: Sequence[Tool] = ()) -> Sequence[Mapping[str, object]]:
        """The tools as `revision` knows them, `extra` ones last."""
        listed = self.listed + [shown for tool in extra for shown in tool.listed("bare")]
        if revision >= STRUCTURED_SINCE:
            return listed
        newer = ("outputSchema", "title", "_meta")
        return [{key: tool[key] for key in tool if key not in newer} for tool in listed]


def extra_entry(tool: Tool) -> Entry:
    """An extra tool as one that is called."""
    return Entry(tool, _ANY, None, ())


def _compiled(name: str, source: JsonSchema) -> Schema:
    try:
        return Schema(source)
    except ValueError as error:
        raise CallerFault(f"the tool `{name}` has an unusable schema: {error}") from error


def page(entries: Sequence[Mapping[str, object]], key: str, cursor: object, size: int) -> dict[str, object]:
    """One page of a listing as a result. `size` 0 is everything at once.

    Raises RpcFault for a cursor that no page of ours has given.
    """
    start = 0 if cursor is None else _position(cursor, len(entries))
    end = len(entries) if not size else min(start + size, len(entries))
    result: dict[str, object] = {key: list(entries[start:end])}
    if end < len(entries):
        result["nextCursor"] = base64.urlsafe_b64encode(b"%d" % end).decode("ascii")
    return result


def _position(cursor: object, count: int) -> int:
    try:
        text = base64.urlsafe_b64decode(str(cursor).encode()).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not _CURSOR.fullmatch(text) or not 0 < int(text) < count:
        raise RpcFault(INVALID_PARAMS, "`cursor` is not one that this list has given")
    return int(text)
