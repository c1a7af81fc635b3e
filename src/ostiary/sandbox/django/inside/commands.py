"""Management commands: which there are, and running one. Its leaving is an answer like any other."""

from __future__ import annotations

import argparse
import traceback
from typing import Any

from ostiary.sandbox.cpython.inside.attempt import attempt
from ostiary.sandbox.cpython.inside.show import clean
from ostiary.sandbox.django.inside.alarm import TimeLimit
from ostiary.sandbox.django.inside.reach import module

_MOST = 16_384


def commands() -> list[dict[str, str]]:
    """Every command by name, with the app that brings it."""
    found = module("django.core.management").get_commands()
    return [{"name": name, "app_name": str(found[name])} for name in sorted(found)]


def command(name: str, arguments: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """Run it. What it writes goes where everything goes. Raises what only the time limit raises."""
    management = module("django.core.management")
    _, error = attempt(lambda: _call(management, name, arguments, options))
    if isinstance(error, TimeLimit):
        raise error
    told = _told(error)
    good = told is None or (isinstance(error, SystemExit) and error.code in {None, 0})
    return {
        "status": "success" if good else "error",
        "command": name,
        "args": arguments,
        "options": options,
        "exception": None if good else told,
    }


def _call(management: Any, name: str, arguments: list[str], options: dict[str, Any]) -> object:
    where = management.get_commands().get(name)
    if where is None:
        raise module("django.core.management.base").CommandError(f"Unknown command: {name!r}{_near(name)}")
    found = where if not isinstance(where, str) else management.load_command_class(where, name)
    return management.call_command(found, *arguments, **_fitted(found, name, options))


def _near(name: str) -> str:
    import difflib  # noqa: PLC0415 - for a command that is not there

    close = difflib.get_close_matches(name, [one["name"] for one in commands()], 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _fitted(found: Any, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options, with one value in a list where the command takes several."""
    several: set[str] = set()
    for action in getattr(found.create_parser("", name), "_actions"):  # noqa: B009 - argparse has no public way
        if _takes_several(action):
            several.add(action.dest)
            several |= {one.lstrip("-").replace("-", "_") for one in action.option_strings}
    return {
        key: [value]
        if key in several and not isinstance(value, list | tuple) and value is not None
        else value
        for key, value in options.items()
    }


def _takes_several(action: argparse.Action) -> bool:
    appends = type(action).__name__ in {"_AppendAction", "_ExtendAction"}
    return appends or action.nargs in {"*", "+"} or (isinstance(action.nargs, int) and action.nargs > 0)


def _told(error: BaseException | None) -> dict[str, str] | None:
    if error is None:
        return None
    if isinstance(error, SystemExit):
        return {"type": "SystemExit", "message": clean(str(error.code), _MOST)}
    words, _ = attempt(lambda: str(error))
    text = words or traceback.format_exception_only(error)[-1].strip()
    return {"type": type(error).__name__, "message": clean(text, _MOST)}
