"""Every server that is configured on a machine, without anything of it that may be secret. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from ostiary.scan.clients.config import Configured
from ostiary.scan.clients.entry import Entry
from ostiary.scan.clients.gated import is_gated
from ostiary.scan.clients.launch import Launch, Pin, Source, host_of, launch, unwrapped, upstream_of
from ostiary.scan.clients.secrecy import clear_secrets
from ostiary.scan.scanned import Target


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One server of one client.

    `starts` says how in a few words. `gated` tells whether it goes through Ostiary. `secrets` are the
    places of secrets that stand in the file in clear text, and never the secrets. `same_as` are the
    places where the same server is configured again, `same_name` those where the name means another.
    """

    client: str
    name: str
    file: str
    line: int
    scope: str
    folder: str
    enabled: bool
    starts: str
    source: Source
    package: str
    version: str
    pin: Pin
    host: str
    gated: bool
    secrets: tuple[str, ...]
    placeholders: tuple[str, ...]
    same_as: tuple[str, ...]
    same_name: tuple[str, ...]
    beside_a_gate: bool


def stack(found: Configured, ours: Callable[[Target], bool] = lambda _: True) -> tuple[Row, ...]:
    """A row for each entry, in the order of the files.

    `ours` says of a gate that a repository names whether the person has put it there.
    """
    known = [(config.scope, entry) for config in found.configs for entry in config.entries]
    by_server: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for _, entry in known:
        by_server[_identity(entry)].append(entry)
        by_name[entry.target.name].append(entry)
    return tuple(
        _row(scope, entry, by_server[_identity(entry)], by_name[entry.target.name], ours)
        for scope, entry in known
    )


def _identity(entry: Entry) -> tuple[str, ...]:
    """What tells servers apart: the command or the address behind a gate, if there is one."""
    target = entry.target
    if entry.kind == "extension":
        return ("extension", target.client, target.name)
    url = target.url or upstream_of(target.command)
    if url:
        return ("url", url.rstrip("/"))
    return ("command", *(unwrapped(target.command) or target.command))


def _row(
    scope: str, entry: Entry, same: Sequence[Entry], named: Sequence[Entry], ours: Callable[[Target], bool]
) -> Row:
    target = entry.target
    started = _launch(entry)
    gated = is_gated(target.command) and (scope != "project" or ours(target))
    others = [each for each in same if each is not entry]
    return Row(
        client=target.client,
        name=target.name,
        file=target.source,
        line=entry.line,
        scope=scope,
        folder=entry.folder,
        enabled=entry.enabled,
        starts=started.text,
        source=started.source,
        package=started.package,
        version=started.version,
        pin=started.pin,
        host=started.package if started.source == "remote" else "",
        gated=gated,
        secrets=clear_secrets(target),
        placeholders=entry.placeholders,
        same_as=tuple(map(_place, others)),
        same_name=tuple(_place(each) for each in named if _identity(each) != _identity(entry)),
        beside_a_gate=not gated and any(is_gated(each.target.command) for each in others),
    )


def _launch(entry: Entry) -> Launch:
    if entry.kind == "extension":
        return Launch("extension of the editor", "extension")
    url = entry.target.url or upstream_of(entry.target.command)
    if url:
        return Launch("", "remote", host_of(url), pin="remote")
    if is_gated(entry.target.command) and not unwrapped(entry.target.command):
        return Launch("ostiary", "file", pin="local")
    return launch(entry.target.command)


def _place(entry: Entry) -> str:
    return f"{entry.target.source}:{entry.line}"
