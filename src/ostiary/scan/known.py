"""What is known of a server's tools, from whatever source, put together into a case for a verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

import msgspec

from ostiary.errors import GatewayFault
from ostiary.policy.definition import ToolDefinition
from ostiary.registry.change import Change, by_risk, named
from ostiary.registry.drift import Version, compare_lists
from ostiary.registry.fingerprint import canonical, digest_of
from ostiary.registry.launch import of_command
from ostiary.registry.records import Record
from ostiary.registry.subject import Subject, of_url
from ostiary.registry.verdict import Case, Near, Source, fact_of
from ostiary.scan.scanned import Target
from ostiary.store.prechecks import Seen, SeenTool
from ostiary.wire.strict import Refused, parse_json


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The tools of a server as one source has them. `at` is a day as 2026-07-28."""

    source: Source = "nothing"
    version: str = ""
    at: str = ""
    tools: tuple[SeenTool, ...] = ()
    ambiguous: tuple[str, ...] = ()
    whole: bool = True

    def versions(self) -> dict[str, Version]:
        """Every tool, for a comparison; digests are worked out anew where there is a definition."""
        return {tool.name: _version(tool) for tool in self.tools}


def subject_of(target: Target, folder: str) -> Subject:
    """What a server in a configuration is, started in `folder`. Raises CallerFault for what is no URL."""
    if target.url:
        return of_url(target.url)
    return of_command(target.command, target.environment, target.cwd or folder)


def _version(tool: SeenTool) -> Version:
    raw = bytes(tool.definition)
    if raw == b"null":
        return Version(tool.digest, None)
    try:
        value = parse_json(raw)
    except Refused:
        return Version(tool.digest, None)
    if not isinstance(value, dict):
        return Version(tool.digest, None)
    return Version(digest_of(canonical(value)), cast("Mapping[str, object]", value))


def of_tools(tools: Sequence[ToolDefinition], server: str = "") -> tuple[SeenTool, ...]:
    """Tools as a server or a pin file gives them, judged together."""
    from ostiary.registry.classify import described  # noqa: PLC0415 - what only reads records starts without it
    from ostiary.registry.judged import judged  # noqa: PLC0415 - the same

    judgements = judged([described(tool, server) for tool in tools])
    return tuple(
        SeenTool(tool.name, tool.digest, fact_of(one), msgspec.Raw(tool.raw))
        for tool, one in zip(tools, judgements, strict=True)
    )


def of_record(record: Record, *, anew: bool = False) -> Known:
    """The tools of a shipped record; `anew` judges them again instead of believing what it says.

    Raises GatewayFault for one that does not agree with itself.
    """
    package, definitions = record.package, record.definitions()
    for tool, fresh in zip(record.tools, definitions, strict=True):
        if tool.digest != fresh.digest or tool.classification.name != tool.name:
            raise GatewayFault(
                f"the record of {named(package.name)} cannot be relied on: "
                f"{named(tool.name)} is not what was recorded",
                hint="install Ostiary anew",
            )
    tools = (
        of_tools(definitions, package.name)
        if anew
        else tuple(
            SeenTool(tool.name, tool.digest, fact_of(tool.classification), tool.definition)
            for tool in record.tools
        )
    )
    return Known(
        source="record" if tools else "nothing",
        version=package.version,
        at=record.scanned,
        tools=tools,
        ambiguous=record.ambiguous,
    )


def of_seen(seen: Seen | None) -> Known | None:
    """The tools as they were at the last look."""
    if seen is None or seen.source == "nothing":
        return None
    source: Source = "seen" if seen.source == "connected" else seen.source
    return Known(
        source=source,
        version=seen.version,
        at=day(seen.at),
        tools=seen.tools,
        ambiguous=seen.ambiguous,
        whole=seen.whole,
    )


def best(subject: Subject, seen: Known | None, record: Known | None, pins: Known | None) -> Known:
    """What to judge by, where nobody asked just now: the look at this version first, then the record."""
    looked = seen if seen is not None and seen.source == "seen" else None
    if looked and subject.version in ("", looked.version):
        return looked
    for each in (record, looked, pins, seen):
        if each is not None and each.source != "nothing":
            return each
    return Known()


def case_of(subject: Subject, known: Known, before: Known | None, *, near: Near | None = None) -> Case:
    """The case for the verdict. `before` is the last look, or what else to compare with."""
    changes: Iterable[Change] = ()
    if before is not None and known.source != "nothing" and before is not known:
        changes = by_risk(_changes(before, known))
    return Case(
        subject=subject,
        source=known.source,
        version=known.version,
        facts=tuple(tool.fact for tool in known.tools),
        near=near,
        changes=tuple(changes),
        since=before.at if before is not None else "",
        ambiguous=known.ambiguous,
        whole=known.whole,
    )


def _changes(before: Known, known: Known) -> list[Change]:
    """What changed; a tool beyond those that were kept is no new one."""
    changes = compare_lists(before.versions(), known.versions())
    if before.whole:
        return changes
    return [change for change in changes if change.kind != "tool-added"]


def day(at: int) -> str:
    """The day of a time in microseconds since the epoch, UTC."""
    try:
        return datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return "an unknown day"
