"""What each question leads to; see `ostiary.sandbox.django.asks` for what is asked and answered."""

from __future__ import annotations

from typing import Any

from ostiary.sandbox.django.inside import about, commands, routes
from ostiary.sandbox.django.inside.secrecy import Secrecy


def answer(ask: dict[str, Any], secrecy: Secrecy) -> object:
    """The answer, as JSON can say it. Raises whatever Python raises where there is none."""
    match ask["do"]:
        case "project":
            return about.project(secrecy)
        case "setting":
            return about.setting(ask["key"], secrecy)
        case "apps":
            return about.apps()
        case "app":
            return about.app(ask["label"])
        case "models":
            return about.models(ask.get("include"), ask.get("scope", "project"))
        case "model":
            return about.model(ask["label"], ask["name"])
        case "routes":
            return routes.routes(ask.get("method"), ask.get("name"), ask.get("pattern"))
        case "commands":
            return commands.commands()
        case "command":
            return commands.command(
                ask["command"], list(ask.get("args") or []), dict(ask.get("options") or {})
            )
        case other:
            raise LookupError(f"no such question: {other!r}")
