"""Arguments against the advertised schema, as far as `validate` asks (P2.10, P3.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ostiary.policy.definition import ToolDefinition
from ostiary.policy.model import Validation
from ostiary.policy.numbers import all_bounded
from ostiary.policy.phrases import shown
from ostiary.policy.schema import Schema, SchemaError, advertised


class Problem(NamedTuple):
    """Why arguments do not pass. `by_caller`: other arguments would help."""

    text: str
    by_caller: bool


def problem_with(
    validation: Validation,
    definition: ToolDefinition | None,
    arguments: Mapping[str, object],
    *,
    wide: bool,
) -> Problem | None:
    """The first problem, or None.

    A tool without a usable schema is refused: what cannot be checked is not let through. In
    `required`, null counts as missing (P3.2).
    """
    if definition is None:
        return Problem("the tool is not advertised, so it has no schema", by_caller=False)
    try:
        schema = advertised(definition)
        return (
            (_extra(schema, arguments) if validation.refuse_extra else None)
            or (_missing(schema, arguments) if validation.required else None)
            or (_invalid(schema, arguments, wide=wide) if validation.schema else None)
        )
    except SchemaError as error:
        return Problem(f"advertised {error}", by_caller=False)


def _extra(schema: Schema, arguments: Mapping[str, object]) -> Problem | None:
    for name in arguments:
        if name not in schema.declared:
            return Problem(f"`{shown(name)}` is not declared", by_caller=True)
    return None


def _missing(schema: Schema, arguments: Mapping[str, object]) -> Problem | None:
    for name in schema.required:
        if arguments.get(name) is None:
            return Problem(f"`{shown(name)}` is required", by_caller=True)
    return None


def _invalid(schema: Schema, arguments: Mapping[str, object], *, wide: bool) -> Problem | None:
    """Full validation. Every number is looked at, so every number must be within bounds (P3.4)."""
    if not wide and not all_bounded(arguments):
        return Problem("a number is not one that every reader holds exactly", by_caller=True)
    plain = arguments if isinstance(arguments, dict) else dict(arguments)
    if schema.admits(plain):
        return None
    return Problem(schema.first_problem(plain), by_caller=True)
