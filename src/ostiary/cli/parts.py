"""The commands below `ostiary`, by their first word: each imports what it needs once it is wanted.

Most of the time that a short command takes is spent importing the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import typer


def _proxy(app: typer.Typer) -> None:
    from ostiary.cli.completion import ProxyCommand
    from ostiary.cli.proxy import main

    @app.command("proxy", cls=ProxyCommand, context_settings=_OWN_OPTIONS, add_help_option=False)
    def proxy(context: typer.Context) -> None:
        """Put one policy in front of one MCP server, over stdio or HTTP."""
        raise typer.Exit(main(context.args))


def _run(app: typer.Typer) -> None:
    """The servers that come with Ostiary: argparse reads their options, here they are only listed."""
    from ostiary.cli.completion import RunCommand
    from ostiary.cli.run import COMMANDS, main

    servers = typer.Typer(no_args_is_help=True, help="Run a server that comes with Ostiary, behind a gate.")
    app.add_typer(servers, name="run")

    @servers.callback()
    def run() -> None:
        """Run a server that comes with Ostiary, behind a gate of its own.

        Exit status: 0 when it was stopped, 2 when it could not run.
        """

    def add(name: str, description: str) -> None:
        @servers.command(
            name, cls=RunCommand, context_settings=_OWN_OPTIONS, add_help_option=False, help=description
        )
        def run_server(context: typer.Context) -> None:
            raise typer.Exit(main([name, *context.args]))

    for server in COMMANDS.values():
        add(server.name, server.description)


def _demo(app: typer.Typer) -> None:
    from ostiary.cli.demo import demo

    app.command("demo", short_help="Watch one policy allow, refuse and limit real calls.")(demo)


def _scan(app: typer.Typer) -> None:
    from ostiary.cli.scan import scan
    from ostiary.cli.target import BeforeACommand

    about = "Report what the tools of servers can do."
    app.command("scan", cls=BeforeACommand, short_help=about)(scan)


def _scan_tools(app: typer.Typer) -> None:
    from ostiary.cli.scan_tools import scan_tools
    from ostiary.cli.target import BeforeACommand

    about = "Write a first policy for a server that denies every tool."
    app.command("scan-tools", cls=BeforeACommand, short_help=about)(scan_tools)


def _classify(app: typer.Typer) -> None:
    from ostiary.cli.classify import classify

    app.command("classify", short_help="Say what each tool of a list can do.")(classify)


def _precheck(app: typer.Typer) -> None:
    from ostiary.cli.precheck import precheck
    from ostiary.cli.target import BeforeACommand

    about = "Say what is known of a server before you connect it."
    app.command("precheck", cls=BeforeACommand, short_help=about)(precheck)


def _stack(app: typer.Typer) -> None:
    from ostiary.cli.stack import show_stack

    app.command("stack", short_help="List the MCP servers configured on this machine.")(show_stack)


def _protect(app: typer.Typer) -> None:
    from ostiary.cli.protect import protect_client

    about = "Let the servers of a client go through Ostiary."
    app.command("protect", short_help=about)(protect_client)


def _unprotect(app: typer.Typer) -> None:
    from ostiary.cli.protect import unprotect_client

    app.command("unprotect", short_help="Undo what `protect` did.")(unprotect_client)


def _hook(app: typer.Typer) -> None:
    from ostiary.cli import hook

    app.add_typer(hook.app, name="hook")


def _doctor(app: typer.Typer) -> None:
    from ostiary.cli.doctor import doctor

    app.command("doctor", short_help="Say what this machine offers to isolate code.")(doctor)


def _status(app: typer.Typer) -> None:
    from ostiary.cli.status import status

    app.command("status", short_help="Show the running gates and what they decided lately.")(status)


def _policy(app: typer.Typer) -> None:
    from ostiary.cli import policy

    app.add_typer(policy.app, name="policy")


def _audit(app: typer.Typer) -> None:
    from ostiary.cli import audit

    app.add_typer(audit.app, name="audit")


def _approvals(app: typer.Typer) -> None:
    from ostiary.cli import approvals

    app.add_typer(approvals.app, name="approvals")


def _stop(app: typer.Typer) -> None:
    from ostiary.cli import stop

    app.add_typer(stop.app, name="stop")


def _pins(app: typer.Typer) -> None:
    from ostiary.cli import pins

    app.add_typer(pins.app, name="pins")


def _code(app: typer.Typer) -> None:
    from ostiary.cli import code

    app.add_typer(code.app, name="code")


def _sandbox(app: typer.Typer) -> None:
    from ostiary.cli import sandbox

    app.add_typer(sandbox.app, name="sandbox")


_OWN_OPTIONS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}

PARTS: Final[Mapping[str, Callable[[typer.Typer], None]]] = MappingProxyType(
    {
        "proxy": _proxy, "demo": _demo, "scan": _scan, "scan-tools": _scan_tools, "classify": _classify,
        "precheck": _precheck, "stack": _stack, "protect": _protect, "unprotect": _unprotect,
        "doctor": _doctor, "status": _status, "policy": _policy, "audit": _audit,
        "approvals": _approvals, "stop": _stop, "pins": _pins, "code": _code, "hook": _hook, "run": _run,
        "sandbox": _sandbox,
    }
)  # fmt: skip
"""In the order of the help."""
