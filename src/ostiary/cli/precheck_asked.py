"""Which server `ostiary precheck` is asked about: typed, as a command, or by its name in a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.proxy.exchange import Header
from ostiary.registry.change import named, printable
from ostiary.registry.launch import of_command
from ostiary.registry.shelf import resolved
from ostiary.registry.subject import Subject, typed
from ostiary.scan.clients import Entry, configured
from ostiary.scan.known import subject_of
from ostiary.scan.nearby import with_nearby
from ostiary.scan.scanned import Target
from ostiary.settings import checked_name
from ostiary.wiring.prechecking import Question, Reach
from ostiary.wiring.proxy import name_of

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What stood on the command line. `headers` may hold secrets."""

    name: str
    command: tuple[str, ...]
    configured: bool
    connect: bool
    server: str
    headers: tuple[Header, ...]
    reach: Reach

    def __repr__(self) -> str:
        """Without what may be secret."""
        return f"Asked(name={self.name!r})"


def question_of(asked: Asked, environ: Mapping[str, str], folder: Path) -> tuple[Question, str]:
    """The server that is meant, and what a client calls it. Raises CallerFault for what cannot be meant."""
    if bool(asked.name) == bool(asked.command):
        raise CallerFault(
            "which server is meant", hint="give one of NAME, PACKAGE, URL, or its command after `--`"
        )
    if asked.configured and asked.command:
        raise CallerFault("--configured takes a name, not a command")
    if asked.configured:
        return _configured(asked, environ, folder)
    if asked.command:
        subject = of_command(asked.command, {}, str(folder))
        cwd = str(folder) if subject.kind == "local" else ""  # a package has no business in this folder
        target = Target(name=subject.name, command=asked.command, cwd=cwd)
        return _question(asked, subject, target, "\0".join(asked.command))
    subject = resolved(typed(asked.name))
    if subject.kind != "url":
        if asked.connect:
            raise CallerFault(
                "a name does not say how the server is started",
                hint="give its URL, its command after `--`, or --configured with its name in a configuration",
            )
        return _question(asked, subject, None, "")
    target = Target(name=subject.name, transport="auto", url=asked.name, headers=_pairs(asked.headers))
    return _question(asked, subject, target, asked.name)


def _question(asked: Asked, subject: Subject, target: Target | None, way: str) -> tuple[Question, str]:
    """`way` is what the server is reached by, from which its pins have their name."""
    pins = [checked_name("--server", asked.server)] if asked.server else []
    pins += [each for each in (asked.name,) if _LABEL.fullmatch(each) and not each.endswith(".seen")]
    pins += [name_of(way)] if way else []
    if asked.connect and target is not None and asked.headers and not target.url:
        raise CallerFault("headers were given for a server that is no URL")
    called = asked.server or (asked.name if asked.configured else _called(subject))
    wanted = target if asked.connect else None
    question = Question(subject=subject, pins=tuple(dict.fromkeys(pins)), target=wanted, reach=asked.reach)
    return question, called


def _called(subject: Subject) -> str:
    """A name for rules, where nobody said what the client calls the server."""
    last = subject.name.rstrip("/").rpartition("/")[2] or subject.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last.partition(":")[0]).strip("-")[:64] or "server"


def _configured(asked: Asked, environ: Mapping[str, str], folder: Path) -> tuple[Question, str]:
    """The server that a client's configuration calls so, in the person's own files or this folder's."""
    found = configured(Path(environ.get("HOME") or "/"), folder, environ)
    entries = [one for config in found.configs for one in config.entries if one.target.name == asked.name]
    distinct = list({_way(entry, folder): entry for entry in entries}.values())
    if not distinct:
        names = sorted({one.target.name for config in found.configs for one in config.entries})
        shown = ", ".join(named(each) for each in names[:10]) or "none"
        raise CallerFault(
            f"no configuration here names {named(asked.name)}", hint=f"these are named: {shown}"
        )
    if len(distinct) > 1:
        places = ", ".join(f"`{printable(one.target.source)}:{one.line}`" for one in distinct[:4])
        raise CallerFault(
            f"{named(asked.name)} is configured in {len(distinct)} ways: {places}",
            hint="give the URL, or the command after `--`",
        )
    (entry,) = distinct
    if asked.connect and entry.placeholders:
        raise CallerFault(
            f"only the client fills in {named(entry.placeholders[0])} in the entry of {named(asked.name)}",
            hint="give the URL, or the command after `--`, with the value in your environment",
        )
    target = entry.target
    if asked.headers:
        target = msgspec.structs.replace(target, headers=(*target.headers, *_pairs(asked.headers)))
    way = target.url or "\0".join(target.command)
    home = Path(environ.get("HOME") or "/")
    subject = with_nearby(subject_of(target, str(folder)), folder / target.cwd, home)
    return _question(asked, subject, target, way)


def _way(entry: Entry, folder: Path) -> str:
    return subject_of(entry.target, str(folder)).key + repr(sorted(entry.target.environment))


def _pairs(headers: tuple[Header, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
