"""`ostiary hook`: have Claude Code ask a person before tools of servers that nobody has looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.options import StateOption
from ostiary.cli.printable import printable
from ostiary.errors import CallerFault
from ostiary.store.state import locate, open_state

app = typer.Typer(help="Have Claude Code ask before it calls tools of unknown servers.", no_args_is_help=True)

Project = Annotated[bool, typer.Option("--project", help="Only in this folder: .claude/settings.local.json.")]


@app.command("install", short_help="Put the hook into Claude Code's settings.")
def install(project: Project = False, state_dir: StateOption = None) -> None:
    """Put the hook into Claude Code's settings, for yourself or only for this folder.

    A second time it changes nothing, or only the path of this program.
    Exit status: 0 it is in, 2 could not run.
    """
    from ostiary.cli.hook_files import Settings, program
    from ostiary.scan.hook_settings import command_line

    state = open_state(locate(state_dir, os.environ))
    settings = Settings(_path(project), state)
    changed = settings.install(command_line(program(os.environ), str(state.path)))
    shown = printable(str(settings.path))
    typer.echo(f"the hook is in {shown}" + ("" if changed else ", as it was"))
    if settings.switched_off:
        typer.echo("warning: `disableAllHooks` in that file keeps every hook from running", err=True)


@app.command("remove", short_help="Take the hook out again, and nothing else.")
def remove(project: Project = False, state_dir: StateOption = None) -> None:
    """Take the hook out of Claude Code's settings, with what was made for it and nothing else.

    Exit status: 0 it is out, 1 it was not in, 2 could not run.
    """
    from ostiary.cli.hook_files import Settings

    settings = Settings(_path(project), open_state(locate(state_dir, os.environ)))
    shown = printable(str(settings.path))
    if not settings.remove():
        typer.echo(f"there is no hook of Ostiary in {shown}", err=True)
        raise typer.Exit(1)
    typer.echo(f"the hook is out of {shown}")


@app.command("run", short_help="Answer one event; Claude Code starts this.")
def run(state_dir: StateOption = None) -> None:
    """Answer one event on standard input: nothing where a call may go on, else a question with its reason.

    Whatever goes wrong is a question, too. Claude Code starts this; nothing is started or sent by it.
    Exit status: 0 answered, 2 the call is blocked because there was no way to ask.
    """
    from ostiary.cli.hook_run import main

    raise typer.Exit(main(["--state-dir", state_dir] if state_dir else []))


def _path(project: bool) -> Path:
    """The settings file. Raises CallerFault where there is no home."""
    if project:
        # Not settings.json, which is shared: the hook names a program of this machine.
        return Path.cwd() / ".claude" / "settings.local.json"
    chosen, home = os.environ.get("CLAUDE_CONFIG_DIR", ""), os.environ.get("HOME", "")
    if chosen and Path(chosen).is_absolute():
        return Path(chosen) / "settings.json"
    if not home:
        raise CallerFault("no settings of Claude Code: HOME is not set", hint="set HOME, or give --project")
    return Path(home) / ".claude" / "settings.json"
