"""`ostiary approvals`: see what waits for a person, and answer it."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostiary.approvals.request import Request, Standing, Verdict
from ostiary.cli.asked import as_json, list_lines, show_lines
from ostiary.cli.options import Format, FormatOption, StateOption, existing_state, print_json
from ostiary.cli.printable import printable
from ostiary.errors import CallerFault
from ostiary.settings import checked_approver
from ostiary.store import approvers
from ostiary.store.clock import BootClock
from ostiary.store.state import StateDir, locate, open_state, read_private
from ostiary.wiring import approvals as desk

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

app = typer.Typer(help="See what waits for a person, and answer it.", no_args_is_help=True)

MAX_LISTED = 1_000

KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key", metavar="FILE", help="The approver's private key; by default <state>/keys/approver.",
        show_default=False,
    ),
]  # fmt: skip
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", help="Where its passphrase is; by default it is asked for.",
        show_default=False,
    ),
]  # fmt: skip


@app.command("init", short_help="Register an approver and make their key.")
def init(
    name: Annotated[
        str,
        typer.Option("--as", metavar="user:NAME", help="Who approves; by default you.", show_default=False),
    ] = "",
    key: KeyOption = None,
    passphrase_file: PassphraseOption = None,
    sponsor_key: Annotated[
        Path | None,
        typer.Option(
            "--sponsor-key",
            metavar="FILE",
            help="The key of an approver who vouches for this one.",
            show_default=False,
        ),
    ] = None,
    sponsor_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--sponsor-passphrase-file",
            metavar="FILE",
            help="Where the passphrase of that key is; by default it is asked for.",
            show_default=False,
        ),
    ] = None,
    unsafe_no_passphrase: Annotated[
        bool,
        typer.Option(
            "--unsafe-no-passphrase", help="Do not encrypt the key: whoever can read it can approve."
        ),
    ] = False,
    state_dir: StateOption = None,
) -> None:
    """Register an approver and make the key they sign with.

    The key is encrypted with a passphrase, so that an agent with a shell of yours cannot approve
    its own calls. Start gates after this: a running one does not believe a first approver who
    comes later.

    Exit status: 0 registered, 2 could not run.
    """
    state = open_state(locate(state_dir, os.environ))
    name = checked_approver("--as", name or f"user:{getpass.getuser()}")
    path = key or approvers.private_path(state)
    if path.exists():
        raise CallerFault(f"`{path}` exists already", hint="name another file with --key")
    sponsor = _sponsor(state, sponsor_key, sponsor_passphrase_file)
    passphrase = "" if unsafe_no_passphrase else _new_passphrase(state, path, passphrase_file)
    desk.register(state, name, path, passphrase, sponsor)
    typer.echo(f"registered {name}")
    typer.echo(f"key        {path}{'' if passphrase else ' (not encrypted)'}")
    typer.echo("gates that are running already have to be started anew", err=True)


@app.command("list", short_help="List the calls that wait for approval.")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Those that are over, too, the newest first.")
    ] = False,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """List the calls that wait for approval, and those approved and not yet used.

    Exit status: 0, also when there are none.
    """
    state = existing_state(state_dir)
    found = desk.standings(state, MAX_LISTED, open_only=not everything)
    now = BootClock().now()
    if format_ is Format.json:
        print_json({"v": 1, "approvals": [as_json(standing, now) for standing in found]})
        return
    for line in list_lines(found, now):
        typer.echo(line)


@app.command("show", short_help="Show one request, with the exact call.")
def show(
    request: Annotated[str, typer.Argument(metavar="ID", help="A request, `apr_…`.")],
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Show one request: who asks, why, who may answer, and the call exactly as it would be sent on.

    Exit status: 0 shown, 1 there is no such request.
    """
    found = desk.look_up(existing_state(state_dir), request)
    if found is None:
        typer.echo(f"there is no request `{printable(request)}`", err=True)
        raise typer.Exit(1)
    standing, content = found
    now = BootClock().now()
    if format_ is Format.json:
        print_json({"v": 1, **as_json(standing, now, content)})
        return
    for line in show_lines(standing, content, now):
        typer.echo(line)


@app.command("resolve", short_help="Approve or deny one request.")
def resolve(
    request: Annotated[str, typer.Argument(metavar="ID", help="A request, `apr_…`.")],
    approve: Annotated[bool, typer.Option("--approve", help="Let exactly this call pass, once.")] = False,
    deny: Annotated[bool, typer.Option("--deny", help="Refuse it, until it would have expired.")] = False,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="Why; the agent is told when you deny.")
    ] = "",
    key: KeyOption = None,
    passphrase_file: PassphraseOption = None,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Approve or deny one request, signed with your key. The call passes when every set of approvers agrees.

    Exit status: 0 answered, 1 not changed (no such request, over, not yours to answer), 2 could not run.
    """
    if approve == deny:
        raise CallerFault("say --approve or --deny", hint="`ostiary approvals show ID` shows the call first")
    state = existing_state(state_dir)
    private = unlocked(key or approvers.private_path(state), passphrase_file)
    outcome = desk.resolve(state, request, "approve" if approve else "deny", note, private)
    now = BootClock().now()
    if isinstance(outcome, str):
        typer.echo(f"{printable(request)}: not changed: {printable(outcome)}", err=True)
        raise typer.Exit(1)
    if format_ is Format.json:
        print_json({"v": 1, **as_json(outcome, now)})
    else:
        typer.echo(_said(outcome))


@app.command("watch", short_help="A live page: see calls come in, and answer them.")
def watch(
    key: KeyOption = None,
    passphrase_file: PassphraseOption = None,
    state_dir: StateOption = None,
) -> None:
    """Show the calls that wait as a live page, each exactly as it would be sent on, and answer them by key.

    Approving takes that the end of the request has been on the screen. The key is unlocked once, at
    the start.

    Exit status: 0 left, 2 could not run.
    """
    from ostiary.cli.approvals_page import ApprovalsPage
    from ostiary.cli.live import is_terminal, run

    if not is_terminal(os.environ):
        raise CallerFault("a live page needs a terminal", hint="`ostiary approvals list` works everywhere")
    state = existing_state(state_dir)
    private = unlocked(key or approvers.private_path(state), passphrase_file)
    run(ApprovalsPage(_Desk(state, private), BootClock().now), os.environ)


class _Desk:
    """What the live page reads and does."""

    def __init__(self, state: StateDir, key: Ed25519PrivateKey) -> None:
        self._state = state
        self._key = key

    def open_requests(self) -> list[Standing]:
        return desk.standings(self._state, MAX_LISTED, open_only=True)

    def look_up(self, request_id: str) -> tuple[Standing, bytes | None] | None:
        return desk.look_up(self._state, request_id)

    def answer(self, request: Request, verdict: Verdict, note: str) -> str:
        outcome = desk.resolve(self._state, request.id, verdict, note, self._key, shown=request)
        return f"{request.id}: not changed: {outcome}" if isinstance(outcome, str) else _said(outcome)


def _said(outcome: Standing) -> str:
    if outcome.state == "pending":
        return f"{outcome.request.id}: noted; others have to agree as well"
    if outcome.state == "approved":
        return f"{outcome.request.id}: approved; exactly this call may pass, once"
    return f"{outcome.request.id}: {outcome.state}"


def unlocked(path: Path, passphrase_file: Path | None) -> Ed25519PrivateKey:
    """The private key at `path`, asking for its passphrase where it has one. Raises CallerFault."""
    if not approvers.encrypted(path):
        return approvers.unlock(path, "")
    return approvers.unlock(path, _passphrase(f"Passphrase of {path}: ", passphrase_file))


def _sponsor(
    state: StateDir, path: Path | None, passphrase_file: Path | None
) -> tuple[str, Ed25519PrivateKey] | None:
    others = approvers.registered(state)
    if not others:
        return None
    if path is None:
        raise CallerFault(
            "there are approvers already, and one of them has to vouch for another",
            hint=f"add --sponsor-key FILE with the key of {others[0].name}",
        )
    key = unlocked(path, passphrase_file)
    return approvers.name_of(state, key), key


def _new_passphrase(state: StateDir, path: Path, file: Path | None) -> str:
    """A passphrase for a new key; none where the key belongs to another user than the gate."""
    if file is None and os.geteuid() != state.path.stat().st_uid and not path.is_relative_to(state.path):
        return ""
    first = _passphrase(f"Passphrase for {path}: ", file)
    if len(first) < approvers.MIN_PASSPHRASE:
        raise CallerFault(f"a passphrase has at least {approvers.MIN_PASSPHRASE} characters")
    if file is None and first != _passphrase("The same again: ", None):
        raise CallerFault("the two passphrases differ")
    return first


def _passphrase(prompt: str, file: Path | None) -> str:
    if file is not None:
        return read_private(file).decode("utf-8", "replace").rstrip("\r\n")
    try:
        with Path("/dev/tty").open("rb"):
            pass
    except OSError:
        raise CallerFault(
            "the passphrase cannot be asked for without a terminal", hint="use --passphrase-file FILE"
        ) from None
    return getpass.getpass(prompt)
