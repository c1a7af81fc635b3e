"""From a scan to the record of it that is shipped, and from a record back to what was found. Pure."""

from __future__ import annotations

from typing import cast

import msgspec

from ostiary.registry.records.record import Package, Record, Tool
from ostiary.scan.examined import examine
from ostiary.scan.introspect import Introspection, ServerInfo
from ostiary.scan.scanned import Network, Scanned, Target


def record_of(package: Package, scanned: Scanned, day: str) -> Record:
    """The record of one scan on `day`, judged by itself: no other server of the list stands beside it."""
    (one,) = examine([scanned])
    record = Record(
        package=package,
        scanned=day,
        isolated=scanned.isolated,
        network=scanned.network,
        reason=one.scanned.fault if one.scanned.found is None else scanned.fault,
    )
    found = scanned.found
    if found is None or one.scanned.found is None:
        return record
    return msgspec.structs.replace(
        record,
        server=found.server.name,
        server_version=found.server.version,
        era=found.era,
        revision=found.revision,
        instructions=found.instructions,
        ambiguous=found.ambiguous,
        grade=one.grade,
        tokens=one.tokens,
        tools=tuple(
            Tool(tool.name, tool.digest, msgspec.Raw(tool.raw), known)
            for tool, known in zip(found.tools, one.judged, strict=True)
        ),
    )


def scanned_of(record: Record) -> Scanned:
    """What was found when the record was made, from its definitions."""
    found = None
    if record.era:
        about = ServerInfo(record.server, record.server_version)
        tools = record.definitions()
        found = Introspection(
            about, record.era, record.revision, tools, record.ambiguous, record.instructions
        )
    return Scanned(
        target=Target(name=record.package.name),
        found=found,
        fault=record.reason,
        isolated=record.isolated,
        network=cast("Network", record.network),
    )


def rejudged(record: Record) -> Record:
    """The same record by the rules of today."""
    return record_of(record.package, scanned_of(record), record.scanned)
