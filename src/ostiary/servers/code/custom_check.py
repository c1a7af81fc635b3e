"""What may be stored as a custom tool: names, schemas, sizes. Pure.

Whoever writes one is a client, and others may be shown what it wrote: everything is bounded.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from ostiary.errors import CallerFault
from ostiary.policy.schema import MAX_DEPTH, MAX_WORK, SchemaError, compile_schema
from ostiary.policy.schema_work import SchemaShapeError, work_by_depth
from ostiary.policy.twins import twin_of
from ostiary.store.custom_tools import Definition
from ostiary.wire.message import as_object

PREFIX: Final = "custom_"
MAX_SCRIPT: Final = 256_000
"""Bytes of a script, in UTF-8."""
MAX_DESCRIPTION: Final = 2_000
MAX_SCHEMA: Final = 16_384
"""Bytes of a schema, and of default values, as JSON."""
MAX_NAMES: Final = 100
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}")
_OWN: Final = ("custom_", "mcp_")
_MIRROR: Final = "x-mcp-header"


def checked_name(name: str, listed: Collection[str] = ()) -> str:
    """A name that a custom tool can have beside those `listed`. Raises CallerFault."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name.lower().startswith(_OWN):
        raise CallerFault(
            f"deployment_name: `{name[:80]}` cannot be the name of a tool",
            hint="a letter, then letters, digits and `_`, at most 48, not beginning with `mcp_` or `custom_`",
        )
    other = twin_of(PREFIX + name, listed)
    if other is not None:
        raise CallerFault(f"deployment_name: it would be taken for `{other}`", hint="choose another")
    return name


def plain_name(name: str) -> str:
    """The name without the prefix of its tool."""
    return name.removeprefix(PREFIX)


def read_definition(given: Mapping[str, Any], before: Definition | None = None) -> Definition:
    """A definition from the arguments of a tool; what they do not name is as `before`. Raises CallerFault."""
    old = before or Definition(description="", input_schema={})

    def value(key: str, usual: Any) -> Any:
        found = given.get(key)
        return usual if found is None else found

    def names(key: str, usual: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(value(key, usual))
        if len(found) > MAX_NAMES or any(len(one) > 200 for one in found):  # noqa: PLR2004 - no name is as long
            raise CallerFault(f"{key}: at most {MAX_NAMES} names of at most 200 characters")
        return tuple(dict.fromkeys(found))

    description = str(value("description", old.description)).strip()
    if not description or len(description) > MAX_DESCRIPTION or not _is_text(description):
        raise CallerFault(f"description: expected a text of 1 to {MAX_DESCRIPTION} characters")
    defaults = _json_object("default_input_vars", value("default_input_vars", old.defaults))
    schema = _json_object("input_schema", value("input_schema", old.input_schema))
    return Definition(
        description=description,
        input_schema=checked_schema(schema, defaults),
        defaults=defaults,
        sample=_json_object("test_input", value("test_input", old.sample)),
        outputs=tuple(_variable("output_variables", one) for one in names("output_variables", old.outputs)),
        tools=names("required_tools", old.tools),
        servers=names("mcp_server_names", old.servers),
        packages=names("additional_imports", old.packages),
        secrets=names("required_secrets", old.secrets),
        public=value("deployment_type", "public" if old.public else "private") == "public",
        code_public=bool(value("is_code_public", old.code_public)),
    )


def checked_script(script: str) -> str:
    """A script that can be stored. Raises CallerFault."""
    try:
        size = len(script.encode())
    except UnicodeEncodeError:
        raise CallerFault("script: it has half a character") from None
    if not script.strip() or size > MAX_SCRIPT or "\0" in script:
        raise CallerFault(f"script: expected a text of 1 to {MAX_SCRIPT} bytes")
    return script


def checked_schema(schema: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of arguments as it is kept: closed, and without a need for what has a default.

    Raises CallerFault for one that cannot be used, costs too much work or refers to something outside.
    """
    properties = _properties(schema, defaults)
    if any(_MIRROR in node for node in _nodes(schema)):
        raise CallerFault(f"input_schema: `{_MIRROR}` is not for custom tools")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(one, str) for one in cast("list[Any]", required)):
        raise CallerFault("input_schema: `required` has to be a list of names")
    needed = [one for one in cast("list[Any]", required) if one not in defaults]
    kept = {**schema, "type": "object", "properties": dict(properties), "additionalProperties": False}
    kept.pop("required", None)
    if needed:
        kept["required"] = needed
    _affordable(kept)
    return kept


def _affordable(schema: dict[str, Any]) -> None:
    """Raises CallerFault for a schema that cannot be compiled, or that multiplies work on any document."""
    try:
        compile_schema(schema)
        work = max(work_by_depth(schema, MAX_DEPTH, MAX_WORK))
    except (SchemaError, SchemaShapeError) as error:
        raise CallerFault(f"input_schema: {error}") from None
    if work > MAX_WORK:
        raise CallerFault("input_schema: it multiplies work")


def _properties(schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> Mapping[str, object]:
    """The arguments that a schema names. Raises CallerFault for one that cannot be a variable."""
    if schema.get("type", "object") != "object":
        raise CallerFault("input_schema: expected the schema of an object", hint='{"type": "object", ...}')
    properties = as_object(schema.get("properties", {}))
    if properties is None:
        raise CallerFault("input_schema: `properties` has to be an object")
    for name in properties:
        _variable("input_schema", name)
    for name in defaults:
        if name not in properties:
            raise CallerFault(f"default_input_vars: `{name[:80]}` is not in input_schema")
    return properties


def variables(definition: Definition, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a run: arguments, else defaults, else None. Raises CallerFault for wrong arguments."""
    given = {**definition.defaults, **arguments}
    schema = compile_schema(definition.input_schema)
    try:
        valid = schema.admits(given)
    except SchemaError as error:
        raise CallerFault(f"invalid arguments: {error}") from None
    if not valid:
        raise CallerFault(f"invalid arguments: {_why(definition, given) or schema.first_problem(given)}")
    return {name: given.get(name) for name in _names(definition)}


def _names(definition: Definition) -> list[str]:
    return list(as_object(definition.input_schema.get("properties")) or {})


def _why(definition: Definition, given: Mapping[str, Any]) -> str:
    """The two faults that are worth words."""
    known = _names(definition)
    unknown = [name for name in given if name not in known]
    if unknown:
        return f"`{unknown[0][:80]}` is none of {', '.join(known) or 'them: it takes none'}"
    missing = [name for name in definition.input_schema.get("required", []) if name not in given]
    return f"`{missing[0][:80]}` is missing" if missing else ""


def _variable(where: str, name: str) -> str:
    fits = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    if not fits or name.startswith("mcp_") or len(name) > 100:  # noqa: PLR2004 - no name is as long
        raise CallerFault(
            f"{where}: `{name[:80]}` cannot be a variable here",
            hint="letters, digits and `_`; names of tools begin with `mcp_`",
        )
    return name


def _json_object(where: str, value: Any) -> dict[str, Any]:
    try:
        size = len(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise CallerFault(f"{where}: it cannot be written as JSON") from None
    if size > MAX_SCHEMA:
        raise CallerFault(f"{where}: {size} bytes, and {MAX_SCHEMA} is the most")
    return dict(value)


def _nodes(value: object) -> Iterator[Mapping[str, object]]:
    """Every object in a value that is known to be small."""
    below: list[object] = [value]
    while below:
        one = below.pop()
        known = as_object(one)
        if known is not None:
            yield known
            below.extend(known.values())
        elif isinstance(one, list):
            below.extend(cast("list[object]", one))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return all(char.isprintable() or char in "\n\t" for char in text)
