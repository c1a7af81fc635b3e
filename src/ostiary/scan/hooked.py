"""What the hook says to one call of a tool: nothing, or why a person should be asked first.

All that it knows is on this machine: what the client's configurations say the server is, what was
seen of it, and the shipped records. Nothing is started, written or sent.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Final, cast

import msgspec

from ostiary.errors import CallerFault
from ostiary.registry.change import named, printable
from ostiary.registry.client_rules import PREFIX, plain
from ostiary.registry.lookalike import resembled
from ostiary.registry.shelf import known, recorded
from ostiary.registry.subject import Subject, of_url
from ostiary.registry.verdict import Case, Reason, verdict
from ostiary.scan.clients import Config, Entry, configured
from ostiary.scan.clients.kept import put_there
from ostiary.scan.known import best, case_of, of_record, of_seen, subject_of
from ostiary.scan.nearby import with_nearby
from ostiary.scan.scanned import Target
from ostiary.store.prechecks import Memory, read_memory
from ostiary.store.state import StateDir, check_private
from ostiary.wire.message import as_object
from ostiary.wire.strict import Refused, parse_json

MAX_EVENT: Final = 16 * 1024 * 1024
MAX_REASON: Final = 600
"""Characters of a reason: it is shown in a question that a person should read to its end."""

_STEERING: Final = re.compile(r"(LD|DYLD)_.*|PYTHON.*|PEX.*")
"""Variables by which another program would run under the name of a gate."""

_CLIENT: Final = "claude-code"
_EVENT: Final = "PreToolUse"


class Event(msgspec.Struct, frozen=True):
    """A tool that is about to be called, as Claude Code names it, and the folder of the conversation."""

    tool: str
    folder: str


class Machine(msgspec.Struct, frozen=True):
    """Where to look: the home directory, the state directory, the environment and this program's files."""

    home: Path
    state: Path
    environ: Mapping[str, str]
    gates: frozenset[str] = frozenset()


def read_event(data: bytes) -> Event:
    """The event on standard input. Raises CallerFault for what is none."""
    if len(data) > MAX_EVENT:
        raise CallerFault(f"the event has more than {MAX_EVENT} bytes")
    try:
        value = parse_json(data.strip(), max_bytes=MAX_EVENT)
    except Refused as refused:
        raise CallerFault(f"the event cannot be read: {refused.message}") from None
    members = as_object(cast("object", value)) or {}
    tool, folder, kind = (members.get(key) for key in ("tool_name", "cwd", "hook_event_name"))
    if kind != _EVENT or not isinstance(tool, str) or not tool:
        raise CallerFault(f"the event is no {_EVENT} of a tool")
    return Event(tool, folder if isinstance(folder, str) else "")


def opinion(event: Event, machine: Machine) -> str:
    """Why a person should be asked; empty where nothing speaks against the call.

    Raises OstiaryError where what it would go by cannot be relied on.
    """
    if not event.tool.startswith(PREFIX):
        return ""
    folder = machine.environ.get("CLAUDE_PROJECT_DIR") or event.folder
    if not folder or not PurePath(folder).is_absolute():
        raise CallerFault("the event does not say in which folder the conversation is")
    found = configured(machine.home, Path(folder), machine.environ)
    configs = [config for config in found.configs if config.client == _CLIENT]
    troubles = [trouble for config in configs for trouble in config.troubles]
    if troubles:
        return _bounded(f"a configuration of Claude Code cannot be relied on: {troubles[0]}")
    shared = {str(config.path) for config in configs if config.scope == "project"}
    meant = [
        (entry, event.tool.removeprefix(mark))
        for entry in _entries(configs, folder)
        if event.tool.startswith(mark := f"{PREFIX}{plain(entry.target.name)}__")
    ]
    if not meant:
        shown = named(event.tool.removeprefix(PREFIX).partition("__")[0])
        return _bounded(f"no configuration that Ostiary reads names the server {shown}")
    look = _Look(machine, folder)
    return next((said for entry, tool in meant if (said := look.at(entry.target, tool, shared))), "")


def _entries(configs: list[Config], folder: str) -> Iterator[Entry]:
    """The servers that may be meant in `folder`: all, but those that are for another project."""
    here = PurePath(folder)
    for config in configs:
        for entry in config.entries:
            if not entry.folder or here.is_relative_to(entry.folder):
                yield entry


class _Look:
    """Looks at the servers that one name may mean."""

    def __init__(self, machine: Machine, folder: str) -> None:
        self._machine = machine
        self._folder = folder
        self._memory: Memory | None = None

    def at(self, target: Target, tool: str, shared: Collection[str]) -> str:
        """Why to ask before `tool` of it; empty for no reason. `shared` are files of repositories."""
        if through(target, self._machine):
            if not target.command or target.source not in shared or put_there(self._machine.state, target):
                return ""
            return _bounded(
                f"{named(target.name)}: a file of the repository names this gate with its policy, "
                "and `ostiary protect` did not put it there"
            )
        started_in = Path(self._folder) / target.cwd
        subject = with_nearby(subject_of(target, self._folder), started_in, self._machine.home)
        case = self._case(subject)
        told = verdict(case)
        about = f"{named(target.name)} ({printable(subject.spec[:80])})"
        if told.action == "ask-first":
            return _said(about, told.reasons, "ask-first")
        if not any(plain(fact.name) == tool for fact in case.facts):
            return _bounded(f"{about}: {named(tool)} is not among the tools that are known of it")
        mine = tuple(one for one in told.reasons if any(plain(each) == tool for each in one.tools))
        return _said(about, mine, "connect-with-rule")

    def _case(self, subject: Subject) -> Case:
        if self._memory is None:
            self._memory = _memory(self._machine.state)
        seen = of_seen(self._memory.entries.get(subject.key))
        found = recorded(subject)
        record = of_record(found) if found is not None else None
        chosen = best(subject, seen, record, None)
        before = seen if seen is not None and seen is not chosen else None
        near = resembled(subject, known()) if found is None else None
        return case_of(subject, chosen, before, near=near)


def _memory(folder: Path) -> Memory:
    if not folder.exists():
        return Memory()
    check_private(folder)
    return read_memory(folder)


def _said(about: str, reasons: tuple[Reason, ...], action: str) -> str:
    texts = [one.text for one in reasons if one.action == action]
    return _bounded(f"{about}: {'; '.join(texts)}") if texts else ""


def _bounded(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= MAX_REASON else shown[: MAX_REASON - 1] + "…"


def through(target: Target, machine: Machine) -> bool:
    """Whether the server is reached through a gate: this very program, or one that listens here."""
    if target.url:
        return _listens(target.url, machine.state)
    words = target.command
    if not words or any(_STEERING.fullmatch(name) for name in target.environment):
        return False
    if "PATH" in target.environment and not PurePath(words[0]).is_absolute():
        return False
    program = shutil.which(words[0], path=machine.environ.get("PATH")) or ""
    if program in machine.gates or str(Path(program).resolve()) in machine.gates:
        return words[1:2] in (("proxy",), ("run",))
    if not program or Path(program).absolute() != Path(sys.executable).absolute():
        return False
    rest = words[1:]
    while rest and rest[0] in {"-I", "-E", "-P", "-EP", "-s"}:
        rest = rest[1:]
    if not {"-I", "-P", "-EP"} & set(words[1 : len(words) - len(rest)]):
        return False  # the folder it is started in could bring an `ostiary` of its own
    return rest[:2] == ("-m", "ostiary") and rest[2:3] in (("proxy",), ("run",))


def _listens(url: str, folder: Path) -> bool:
    """Whether a running gate listens at the URL's host and port."""
    from ostiary.store.instances import describe_all  # noqa: PLC0415 - only where a server has a URL

    try:
        origin = of_url(url).name
    except CallerFault:
        return False
    if not (folder / "instances").is_dir():
        return False
    host, _, port = origin.partition("://")[2].rpartition(":")
    same = {f"{host}:{port}", f"127.0.0.1:{port}"} if host == "localhost" else {f"{host}:{port}"}
    return any(one.get("listen") in same for one in describe_all(StateDir(folder)))
