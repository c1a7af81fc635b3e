"""`ostiary protect` and `unprotect`: put a gate before each server of a client, and take it away again."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, cast

import msgspec
import typer

from ostiary.cli.options import StateOption
from ostiary.cli.printable import printable, say
from ostiary.cli.written import replace_file
from ostiary.errors import CallerFault, GatewayFault
from ostiary.scan.clients.config import Document, parse
from ostiary.scan.clients.entry import Entry
from ostiary.scan.clients.fetch import fetch
from ostiary.scan.clients.gated import Gate, label_of
from ostiary.scan.clients.guarding import Plan, Step, Undo, merged, protect, unprotect
from ostiary.scan.clients.kept import kept_of, put_there, record_of
from ostiary.scan.clients.places import CLIENTS, Place, places
from ostiary.scan.scanned import Target
from ostiary.store.state import StateDir, create_once, locate, open_state, replace

Client = Annotated[
    str, typer.Argument(metavar="CLIENT", help=f"Whose servers: {', '.join(CLIENTS)}.", show_default=False)
]
Policy = Annotated[
    Path | None,
    typer.Option(
        "-p",
        "--policy",
        metavar="FILE",
        help="The policy for each of the servers. Without it each gets one that denies every call.",
        show_default=False,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="This file, and no other of the client.", show_default=False
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--server",
        metavar="NAME",
        help="Only this server; may be repeated. By default all of them.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]

DENY_ALL: Final = '{\n  "version": "1",\n  "default": "deny",\n  "tools": {}\n}\n'
_WORDS: Final = {
    "protected": "goes through a gate now",
    "already": "went through a gate before",
    "restored": "is again what it was, byte for byte",
    "equal": "has the values again that it had; the file had been written anew since",
    "differs": "is no longer protected",
    "left": "LEFT as it is",
}


def protect_client(
    client: Client,
    policy: Policy = None,
    config: ConfigFile = None,
    server: Names = None,
    dry_run: DryRun = False,
    state_dir: StateOption = None,
) -> None:
    """Let the servers of a client go through Ostiary, by a change of its configuration.

    Files of yours are changed; one in a repository only where --config names it.
    Nothing is started. Only what has to change in an entry is changed, and `unprotect` undoes it.
    Exit status: 0 all protected, 1 a server was left as it is, 2 could not run.
    """
    if policy is not None and not policy.is_file():
        raise CallerFault(f"there is no policy `{policy}`", hint="`ostiary scan-tools -o FILE` writes one")
    root = _state_root(state_dir)
    own: dict[str, Path] = {}
    apart = _apart(config) if config else ""

    def gate(entry: Entry) -> Gate:
        label = label_of(entry, apart)
        chosen = policy.resolve() if policy else _own_policy(root, entry, label)
        if policy is None:
            own[str(chosen)] = chosen
        return Gate(_program(), str(chosen), str(root), label)

    def ours(target: Target) -> bool:
        return not apart or put_there(root, target)

    documents = [_document(path, client) for path in _files(client, config)]
    _check_names(documents, server or ())
    plans = [(each, protect(each, gate, server or (), ours)) for each in documents]
    used = [text for _, plan in plans for one in plan.undo for text in _words(one.after["args"])]
    made = [path for text, path in own.items() if text in used]
    if not dry_run:
        _carry_out(open_state(root), plans, made)
    for document, plan in plans:
        _tell(document, plan, dry_run=dry_run)
    if made:
        _tell_policies(made, dry_run=dry_run)
    if config is None:
        _tell_of_projects(client)
    if any(step.outcome == "left" for _, plan in plans for step in plan.steps):
        raise typer.Exit(1)


def _words(value: object) -> list[str]:
    return [each for each in cast("list[object]", value) if isinstance(each, str)]


def _carry_out(state: StateDir, plans: Sequence[tuple[Document, Plan]], made: Sequence[Path]) -> None:
    """Make the policies, note how each entry was, and only then change the configurations."""
    for path in made:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        create_once(path, DENY_ALL.encode())
    for document, plan in plans:
        if plan.undo:
            before = {one.route: one for one in kept_of(state.path, document.path)}
            _save(state, document, merged(before, plan.undo))
            _write(document, plan)


def unprotect_client(
    client: Client,
    config: ConfigFile = None,
    server: Names = None,
    dry_run: DryRun = False,
    state_dir: StateOption = None,
) -> None:
    """Give the servers of a client back the entries that they had before `ostiary protect`.

    Exit status: 0 all as before, 1 something had been edited since, 2 could not run.
    """
    root = _state_root(state_dir)
    files = [config] if config else [place.path for place in _places(client)]
    known = [(path, kept_of(root, path)) for path in files]
    found = [(_document(path, client), kept) for path, kept in known if kept]
    if not found:
        raise CallerFault(f"no server of {CLIENTS[_checked(client)]} was protected from here")
    plans = [(document, kept, unprotect(document, kept, server or ())) for document, kept in found]
    for document, _, plan in plans:
        if not dry_run:
            _write(document, plan)
            _save(open_state(root), document, plan.undo)
        _tell(document, plan, dry_run=dry_run)
    if any(step.outcome in {"left", "differs"} for _, _, plan in plans for step in plan.steps):
        raise typer.Exit(1)


def project_root(start: Path) -> Path:
    """The folder of the repository that `start` is in; `start` itself where it is in none."""
    return next((each for each in (start, *start.parents) if (each / ".git").exists()), start)


def _checked(client: str) -> str:
    if client in CLIENTS:
        return client
    near = get_close_matches(client, list(CLIENTS), n=1)
    hint = f"did you mean `{near[0]}`" if near else f"known are {', '.join(CLIENTS)}"
    raise CallerFault(f"`{client}` is no client that is known", hint=hint)


def _places(client: str) -> list[Place]:
    _checked(client)
    home = os.environ.get("HOME")
    if not home:
        raise CallerFault("HOME is not set", hint="name the file with --config")
    found = places(Path(home), project_root(Path.cwd()), os.environ, sys.platform)
    return [place for place in found if place.client == client]


def _files(client: str, config: Path | None) -> list[Path]:
    """The files to change: the one that is named, else those of the person that are there."""
    if config is not None:
        _checked(client)
        return [config]
    looked = [place.path for place in _places(client) if place.scope == "user"]
    found = [path for path in looked if path.exists()]
    if not found:
        listed = "\n".join(f"  {path}" for path in looked)
        raise CallerFault(
            f"{CLIENTS[client]} has no configuration here; looked for\n{listed}",
            hint="name another file with --config",
        )
    return found


def _document(path: Path, client: str) -> Document:
    found = fetch(path)
    if found is None:
        raise CallerFault(f"there is no file `{path}`")
    if found.foreign:
        raise CallerFault(
            f"`{path}` {found.foreign}", hint="a gate there would guard nothing: mend that first"
        )
    return parse(found.raw, path, client)


def _check_names(documents: Sequence[Document], names: Sequence[str]) -> None:
    known = [slot.name for document in documents for slot in document.slots]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean `{near[0]}`" if near else None
            raise CallerFault(f"no server is called `{name}`", hint=hint)
    if not known:
        files = ", ".join(f"`{document.path}`" for document in documents)
        raise CallerFault(f"there is no server in {files}")


def _state_root(option: str | None) -> Path:
    return Path(os.path.abspath(locate(option, os.environ)))  # noqa: PTH100 - it may not be there yet


def _own_policy(root: Path, entry: Entry, label: str) -> Path:
    return root / "policies" / f"{entry.target.client or 'client'}-{label}.json"


def _apart(config: Path) -> str:
    """A file that is no usual one of the person's: a repository names its servers as it likes."""
    real, home = os.path.realpath(config), os.environ.get("HOME")
    found = places(Path(home), Path(home), os.environ, sys.platform) if home else ()
    mine = {os.path.realpath(place.path) for place in found if place.scope == "user"}
    return "" if real in mine else real


def _program() -> tuple[str, ...]:
    """The command that starts this program again, from whatever folder a client starts it in."""
    beside = Path(sys.executable).with_name("ostiary")
    if beside.is_file() and os.access(beside, os.X_OK):
        return (str(beside),)
    found = shutil.which("ostiary")
    return (str(Path(found).absolute()),) if found else (sys.executable, "-P", "-m", "ostiary")


def _save(state: StateDir, document: Document, kept: Sequence[Undo]) -> None:
    path = record_of(state.path, document.path)
    if not kept:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    replace(path, msgspec.json.encode(kept))


def _write(document: Document, plan: Plan) -> None:
    """Put the new bytes in place, unless somebody has written the file since it was read."""
    if plan.raw == document.raw:
        return
    now = fetch(document.path)
    if now is None or now.raw != document.raw:
        raise GatewayFault(
            f"`{document.path}` was written by somebody else just now; nothing was changed in it",
            hint="quit the client, then try again",
        )
    replace_file(document.path, plan.raw)


def _tell(document: Document, plan: Plan, *, dry_run: bool) -> None:
    if dry_run and any(step.outcome in {"protected", "restored", "equal", "differs"} for step in plan.steps):
        typer.echo("nothing was changed; this is what would be done")
    for step in plan.steps:
        say([f"{document.path}{f':{step.line}' if step.line else ''}: {_sentence(step)}"])


def _sentence(step: Step) -> str:
    said = f"`{step.name}` {_WORDS[step.outcome]}"
    return f"{said}: {step.reason}" if step.reason else said


def _tell_policies(made: Sequence[Path], *, dry_run: bool) -> None:
    verb = "would be" if dry_run else "is"
    typer.echo(f"\nno --policy was given, so every call {verb} DENIED until you allow it in")
    say(f"  {path}" for path in made)
    typer.echo("`ostiary scan-tools` writes a policy that names the tools of a server")


def _tell_of_projects(client: str) -> None:
    """Say which doors beside the gates were left open because a repository shares them."""
    for place in _places(client):
        if place.scope != "user" and place.path.exists():
            typer.echo(f"not touched: {printable(str(place.path))}; --config changes it", err=True)
