"""JSON Schemas, treated as hostile input wherever they come from (P3.8).

A schema may be at most 256 kB and 32 levels deep, may refer only to itself by `#` pointers, and
may not multiply work: each level of a document may be visited at most 10,000 times, and a document
at most 10,000,000 times in all. Patterns, at most 100 of them, run on a linear engine. What is
beyond this is not compiled, and whoever asked for the check denies and says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, cast

import jsonschema_rs

from ostiary.policy.definition import ToolDefinition
from ostiary.policy.phrases import shown
from ostiary.policy.schema_work import SchemaShapeError, work_by_depth

MAX_BYTES: Final = 256_000
MAX_DEPTH: Final = 32
MAX_WORK: Final = 10_000
MAX_VISITS: Final = 10_000_000
_HARMLESS: Final = 16
"""Visits to one value that no document the wire admits multiplies into a long time."""
_MAX_DOCUMENT_DEPTH: Final = 64
_PATTERN_MEMORY: Final = 1 << 20
_CACHE: Final = 512


class SchemaError(ValueError):
    """A schema is beyond the bounds, or cannot be used. Says why, without quoting values."""


class Schema:
    """A compiled schema."""

    __slots__ = ("_validator", "_work", "declared", "required")

    def __init__(
        self, source: Mapping[str, object], validator: jsonschema_rs.Validator, work: tuple[int, ...]
    ) -> None:
        self._validator = validator
        self._work = work if work[-1] > _HARMLESS else None
        self.declared = declared_names(source)
        self.required = required_names(source)

    def admits(self, value: object) -> bool:
        """True when `value` is valid.

        Raises:
            SchemaError: when this schema would visit this value too often.
        """
        if self._work is not None:
            depth, values = _extent(value)
            visits = self._work[min(depth, _MAX_DOCUMENT_DEPTH)]
            if visits > MAX_WORK:
                raise SchemaError("schema multiplies work on a document of this depth")
            if visits * values > MAX_VISITS:
                raise SchemaError("schema multiplies work on a document of this size")
        return self._validator.is_valid(value)

    def first_problem(self, value: object) -> str:
        """Name the first failing keyword and the place it fails at; never the value."""
        try:
            self._validator.validate(value)  # stops at the first; listing all takes seconds for 4 MB
        except jsonschema_rs.ValidationError as error:
            place = shown("".join(f"/{part}" for part in error.instance_path))
            return f"`{error.kind.name}` fails at `{place or '/'}`"
        return "is not valid"


def compile_schema(source: object, *, formats: bool = False) -> Schema:
    """Compile a schema within the bounds. `formats` makes `format` a check.

    Raises:
        SchemaError: see the module.
    """
    if isinstance(source, bool):
        source = cast("dict[str, object]", {} if source else {"not": {}})
    if not isinstance(source, dict):
        raise SchemaError("schema is not an object")
    plain = cast("dict[str, object]", source)
    measure(plain)
    try:
        work = work_by_depth(plain, _MAX_DOCUMENT_DEPTH, MAX_WORK)
        validator = jsonschema_rs.validator_for(
            plain,
            retriever=_refuse,
            validate_formats=formats,
            ignore_unknown_formats=not formats,
            pattern_options=jsonschema_rs.RegexOptions(
                size_limit=_PATTERN_MEMORY, dfa_size_limit=_PATTERN_MEMORY
            ),
        )
    except SchemaShapeError as error:
        raise SchemaError(str(error)) from error
    except ValueError as error:
        raise SchemaError("schema does not compile: a keyword, pattern or reference is unusable") from error
    return Schema(plain, validator, work)


_compiled: dict[str, Schema | SchemaError] = {}


def advertised(definition: ToolDefinition) -> Schema:
    """The compiled `inputSchema` of a tool, memoised by the definition's digest.

    Compiling can take milliseconds, so whoever receives a tool list calls this once for each
    tool, away from the event loop.

    Raises:
        SchemaError: each time again when the schema cannot be used.
    """
    known = _compiled.get(definition.digest) if definition.digest else None
    if known is None:
        known = _compile(definition)
        if definition.digest:
            if len(_compiled) >= _CACHE:
                _compiled.pop(next(iter(_compiled)), None)  # another thread may be faster
            _compiled[definition.digest] = known
    if isinstance(known, SchemaError):
        raise known.with_traceback(None)
    return known


def prepare(definitions: Iterable[ToolDefinition]) -> None:
    """Compile the schemas of `definitions` ahead of the calls that need them."""
    for definition in definitions:
        with suppress(SchemaError):  # said again, with its reason, when a call needs it
            advertised(definition)


def _compile(definition: ToolDefinition) -> Schema | SchemaError:
    try:
        return compile_schema(definition.input_schema)
    except SchemaError as error:
        return error


def measure(source: object) -> None:
    """Bound the size (as compact JSON, roughly) and the depth of a schema.

    Raises:
        SchemaError: beyond 256 kB or 32 levels.
    """
    size = 0
    level: list[object] = [source]
    depth = 0
    while level:
        below: list[object] = []
        for item in level:
            size += _own_size(item)
            if isinstance(item, dict):
                below.extend(cast("dict[str, object]", item).values())
            elif isinstance(item, list):
                below.extend(cast("list[object]", item))
        if size > MAX_BYTES:
            raise SchemaError("schema is larger than 256 kB")
        if any(isinstance(item, (dict, list)) for item in level):
            depth += 1
        if depth > MAX_DEPTH:
            raise SchemaError("schema is deeper than 32 levels")
        level = below


def _own_size(item: object) -> int:
    if isinstance(item, str):
        return len(item.encode("utf-8", "surrogatepass")) + 3
    if isinstance(item, dict):
        names = cast("dict[str, object]", item)
        return 2 + sum(len(name.encode("utf-8", "surrogatepass")) + 3 for name in names)
    if isinstance(item, int) and not isinstance(item, bool):
        return item.bit_length() // 3 + 2
    return 6


def _extent(value: object) -> tuple[int, int]:
    """Levels of containers in a parsed document (the wire admits at most 64), and its values."""
    level: list[object] = [value]
    depth, values = -1, 0
    while level:
        depth += 1
        values += len(level)
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(cast("dict[str, object]", item).values())
            elif isinstance(item, list):
                below.extend(cast("list[object]", item))
        level = below
    return depth, values


def required_names(source: Mapping[str, object]) -> tuple[str, ...]:
    """The names in the schema's top-level `required`."""
    names = source.get("required")
    if not isinstance(names, list):
        return ()
    return tuple(name for name in cast("list[object]", names) if isinstance(name, str))


def declared_names(source: Mapping[str, object]) -> frozenset[str]:
    """The argument names that the schema's top-level `properties` declares."""
    properties = source.get("properties")
    if not isinstance(properties, dict):
        return frozenset()
    return frozenset(cast("dict[str, object]", properties))


def _refuse(uri: str, /) -> None:
    """Called for every reference that leaves the document: nothing is ever fetched or opened."""
    del uri
    raise SchemaError("schema refers to something outside itself")
