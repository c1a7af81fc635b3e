"""What a shell offers after Tab: names from the state directory, and the options of `proxy`.

What is offered ends up on a command line, and zsh evaluates it on the way. Names come from clients
and servers, so only those are offered that mean nothing to any shell. A completion never fails and
never prints: whoever presses Tab has not asked for an error.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final, get_args

import typer
import typer.main
from typer.core import TyperCommand

from ostiary.audit.record import Kind
from ostiary.cli.proxy import Option, option_table
from ostiary.cli.run import COMMANDS, run_option_table
from ostiary.errors import OstiaryError
from ostiary.limits import LIMITS
from ostiary.store.instances import describe_all
from ostiary.store.query import Reader
from ostiary.store.state import StateDir, find_state, locate

RECENT: Final = 1_000
"""Rows that are looked through for names."""
_PLAIN = re.compile(r"[A-Za-z0-9_./@][A-Za-z0-9_./@+-]{0,127}")

Offer = Callable[[typer.Context, str], list[str]]


def offer(read: Callable[[StateDir], Iterable[str]]) -> Offer:
    """Offers names from the state directory that the command line speaks of."""

    def names(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            found = set(read(find_state(locate(ctx.params.get("state_dir"), os.environ))))
        except (OstiaryError, OSError):
            return []
        return sorted(name for name in found if name.startswith(incomplete) and _PLAIN.fullmatch(name))

    return names


def offer_words(words: Iterable[str]) -> Offer:
    """Offers what stands fixed."""
    known = tuple(words)

    def fixed(ctx: typer.Context, incomplete: str) -> list[str]:
        return [word for word in known if word.startswith(incomplete)]

    return fixed


def _grants(state: StateDir) -> Iterable[str]:
    return (grant for grant, _, _ in _recent(state))


def _servers(state: StateDir) -> Iterable[str]:
    yield from (gate.get("server", "") for gate in describe_all(state))
    yield from (server for _, server, _ in _recent(state))


def _tools(state: StateDir) -> Iterable[str]:
    return (tool for _, _, tool in _recent(state))


def _recent(state: StateDir) -> list[tuple[str, str, str]]:
    if not state.database.exists():
        return []
    reader = Reader(state)
    try:
        records = [stored.record for stored in reader.tail(RECENT)]
    finally:
        reader.close()
    return [(record.grant, record.server, record.tool) for record in records if record is not None]


GRANTS: Final = offer(_grants)
SERVERS: Final = offer(_servers)
TOOLS: Final = offer(_tools)
DECISIONS: Final = offer_words(("allow", "deny", "hold"))
KINDS: Final = offer_words(get_args(Kind))


class ProxyCommand(TyperCommand):
    """`ostiary proxy` as completion sees it: with the options that its own parser reads.

    Only a shell that completes gets this far: see `cli.entry`.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        return [*super().get_params(ctx), *(_declared(self.table()) if ctx.resilient_parsing else ())]

    def table(self) -> Sequence[Option]:
        """The options that are offered."""
        return option_table()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_SERVER_COMMAND] = "--" in args
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Nothing after `--`: what stands there belongs to the server's own command."""
        return [] if ctx.meta.get(_SERVER_COMMAND) else super().shell_complete(ctx, incomplete)


class RunCommand(ProxyCommand):
    """`ostiary run SERVER` likewise."""

    def table(self) -> Sequence[Option]:
        return run_option_table(COMMANDS[str(self.name)])


_SERVER_COMMAND: Final = "ostiary.server_command"
_NAMED: Final = {
    "--grant": GRANTS,
    "--server": SERVERS,
    "--limit": offer_words(f"{limit.name}=" for limit in LIMITS),
}


def _declared(table: Sequence[Option]) -> list[Any]:
    """Options of argparse, as a command of typer would declare them."""

    def declared(**values: object) -> None:
        """Never called: its signature is made below."""

    hints: dict[str, Any] = {}
    for names, settings in table:
        kind = bool if settings.get("action") == "store_true" else str
        offered = offer_words(settings["choices"]) if "choices" in settings else _NAMED.get(names[-1])
        option = typer.Option(*names, help=settings["help"].replace("'", ""), autocompletion=offered)
        hints[names[-1].lstrip("-").replace("-", "_")] = Annotated[kind | None, option]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, keyword, default=None, annotation=hints[name]) for name in hints]
    declared.__annotations__ = hints
    declared.__dict__["__signature__"] = inspect.Signature(parameters)
    app = typer.Typer(add_completion=False)
    app.command(add_help_option=False)(declared)
    return list(typer.main.get_command(app).params)
