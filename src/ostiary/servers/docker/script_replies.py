"""What the toolset `scripts` answers: the strings that its clients know, and what those leave out. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final, NamedTuple

from ostiary.errors import CallerFault, OstiaryError
from ostiary.sandbox.record import RunRecord
from ostiary.servers.core.content import Block, Json, ToolResult, link, text
from ostiary.servers.docker.exec_replies import errors, exit_code, plain, shortened
from ostiary.servers.docker.human import ago
from ostiary.servers.docker.listing import ID, name_of
from ostiary.servers.docker.said import Said, number, said
from ostiary.servers.runs import RUN_META, ran

HEADER: Final = ("CONTAINER ID", "NAMES", "STATUS", "IMAGE", "CREATED")
USAGE: Final = (
    "\nYou can use these container names with other tools like add_dependencies, execute_code, etc."
)
USAGE_OF_ALL: Final = (
    "\nNote: Only containers with 'Up' in their Status are currently running and can be interacted with."
)

_NARROWEST: Final = 10
_GAP: Final = 3
_OPERATOR: Final = re.compile(r"(\d?>{1,2}|<{1,2}|&>)(&\d|\S*)|\|{1,2}|&{1,2}|;")
_SHELLS: Final = frozenset({"sh", "bash", "ash", "dash", "zsh"})


class Done(NamedTuple):
    """`words` is the string of the original; the rest is what it leaves out."""

    words: str
    exit_code: int | None = 0
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False


def answered(
    done: Done,
    *,
    strict: bool,
    notes: Sequence[str] = (),
    more: Sequence[Block] = (),
    meta: Json | None = None,
) -> ToolResult:
    """A reply. Only with `strict` a failure is one for clients too: the original's never are."""
    data = {
        "exitCode": done.exit_code,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "timedOut": done.timed_out,
    }
    content = (text(done.words), *(text(note) for note in notes), *more)
    return ToolResult(content, data, is_error=strict and done.exit_code != 0, meta=meta or {})


def failed(words: str, fault: OstiaryError) -> Done:
    """What did not begin. The original has the words of the engine's client in this place."""
    told = fault.message if fault.hint is None else f"{fault.message} ({fault.hint})"
    return Done(f"{words}: {told}", 1, stderr=told)


def executed(record: RunRecord, what: str, *, strict: bool, notes: Sequence[str] = ()) -> ToolResult:
    """The answer about a run. `what` is how failures name it: `command` or `Python script`."""
    whole = plain(record.stdout.whole)
    out, err = shortened(whole, None, compact=False), shortened(errors(record), None, compact=False)
    code = exit_code(record)
    if record.status == "timeout":
        words = f"Timeout while executing {what}. Operation took too long."
    elif code == 0:
        words = f"Command output: {out.text}"
    else:
        words = f"Error executing {what}: {err.text}"
    done = Done(words, code, out.text, err.text, timed_out=record.status == "timeout")
    links = [
        link(f"run://{record.run_id}/{name}", f"all of {name}", mime="text/plain", size=stream.size)
        for name, stream, shown in (("stdout", record.stdout, out), ("stderr", record.stderr, err))
        if shown.cut
    ]
    told = (*record.notes, *notes)
    return answered(done, strict=strict, notes=told, more=links, meta={RUN_META: ran(record)})


# --- commands in one string -------------------------------------------------------------------------


def words_of(command: str, name: str) -> tuple[str, ...]:
    """A command line as the words that it consists of; quotes group, nothing is replaced.

    Raises CallerFault where a quote is not closed.
    """
    try:
        found = tuple(shlex.split(command))
    except ValueError as error:
        raise CallerFault(f"`{name}` cannot be read: {error}") from None
    if any("\0" in word for word in found):
        raise CallerFault(f"`{name}` holds a NUL character")
    return found


def command_of(command: str) -> tuple[str, ...]:
    """The same for a whole command. Raises CallerFault where there is no program in it."""
    argv = words_of(command, "command")
    if not argv or not argv[0]:
        raise CallerFault("`command` is empty")
    if argv[0].startswith("-"):
        raise CallerFault(
            f"`command` begins with `{argv[0][:80]}`, which is no program",
            hint="options of the engine's client mean nothing here",
        )
    return argv


def operator_note(command: str, argv: Sequence[str]) -> list[str]:
    """A word for whoever expected a shell: what looks like its operators was passed on as it is."""
    if argv[0].rpartition("/")[2] in _SHELLS:
        return []
    try:
        raw = shlex.split(command, posix=False)  # with the quotes: what is quoted was meant to be passed on
    except ValueError:
        return []
    found = next((word for word in raw if _OPERATOR.fullmatch(word)), None)
    if found is None:
        return []
    instead = f"To have one read it: sh -c {shlex.quote(command)}"
    return [f"`{found[:20]}` was an argument of `{argv[0][:80]}`: no shell reads the command. {instead}"]


def packages_of(dependencies: str) -> tuple[str, ...]:
    """What is to be installed, by spaces. Raises CallerFault for what cannot be a package."""
    found = tuple(dependencies.split())
    wrong = next((one for one in found if not _PACKAGE.fullmatch(one)), None)
    if wrong is not None:
        raise CallerFault(
            f"`dependencies` has `{wrong[:80]}`, which cannot be a package",
            hint="names with spaces between them, such as numpy pandas==2.3; no options, no shell",
        )
    return found


_PACKAGE: Final = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@._+/:~^=<>!,*\[\]-]{0,199}")

# --- tables -----------------------------------------------------------------------------------------


def table(found: Sequence[Said], now: float, *, everything: bool) -> str:
    """What `list_containers` says: a table as the engine's client draws it, or that there is none."""
    if not found:
        return f"No {'existing' if everything else 'running'} containers found."
    rows = [HEADER, *(_row(one, now) for one in found)]
    widths = [max(_NARROWEST, _GAP + max(len(row[column]) for row in rows)) for column in range(len(HEADER))]
    lines = ["".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    drawn = "\n".join(line.rstrip() for line in lines)
    return drawn + USAGE + (USAGE_OF_ALL if everything else "")


def _row(found: Said, now: float) -> tuple[str, ...]:
    return (
        said(found, "Id")[:ID],
        name_of(found),
        said(found, "Status"),
        said(found, "Image"),
        ago(number(found, "Created"), now),
    )
