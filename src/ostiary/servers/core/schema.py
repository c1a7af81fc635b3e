"""Schemas of our own tools, compiled once, that say in words what is wrong with a value.

They are written by us and not by a stranger, so nothing bounds their work; still, no reference
that leaves the document is followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import jsonschema_rs

_PATTERN_MEMORY: Final = 1 << 20
_LONGEST: Final = 300
"""Characters of a complaint, which may quote the value that it is about."""


class Schema:
    """A compiled JSON Schema (2020-12 unless it names another) in which `format` is a check.

    The format `path` is taken, which pydantic's schemas have and no standard defines: any text fits it.
    """

    __slots__ = ("_validator",)

    def __init__(self, source: Mapping[str, object]) -> None:
        """Raises ValueError when the schema cannot be used: that is a fault of its author."""
        self._validator = jsonschema_rs.validator_for(
            dict(source),
            retriever=_refuse,
            validate_formats=True,
            formats={"path": _anything},
            ignore_unknown_formats=False,
            pattern_options=jsonschema_rs.RegexOptions(
                size_limit=_PATTERN_MEMORY, dfa_size_limit=_PATTERN_MEMORY
            ),
        )

    def problem(self, value: object) -> str | None:
        """What is wrong with `value`: where, and why. None when it is valid."""
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            place = "".join(f"/{part}" for part in error.instance_path)[:_LONGEST]
            said = error.message if len(error.message) <= _LONGEST else f"`{error.kind.name}` does not hold"
            return f"`{place}`: {said}" if place else said
        return None


def _anything(_text: str, /) -> bool:
    return True


def _refuse(uri: str, /) -> None:
    raise ValueError(f"schema refers to `{uri[:_LONGEST]}`, outside itself")
