"""The command tree as it is, so that a command that comes later is tested, too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer.main

from ostiary.cli.app import build


@cache
def tree() -> tuple[tuple[tuple[str, ...], Any], ...]:
    """Every command and group with its words, the root first. Built once: it is only read.

    `Any`, because typer may carry a click of its own.
    """
    return tuple(_walked())


def _walked() -> Iterator[tuple[tuple[str, ...], Any]]:
    pending: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(build()))]
    while pending:
        words, command = pending.pop(0)
        yield words, command
        below: dict[str, Any] = getattr(command, "commands", None) or {}
        pending += [((*words, name), inner) for name, inner in below.items() if not inner.hidden]


@cache
def leaves() -> tuple[tuple[str, ...], ...]:
    """The words of every command that does something."""
    return tuple(words for words, command in tree() if not getattr(command, "commands", None))
