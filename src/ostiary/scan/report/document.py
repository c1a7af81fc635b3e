"""The report for programs: one JSON document, whose members `docs/reference/scan-report.md` lists."""

from __future__ import annotations

from typing import Final

import msgspec

from ostiary.registry.change import printable
from ostiary.scan.examined import Examined, tokens_of
from ostiary.scan.listed import Listed
from ostiary.scan.report.view import (
    Report,
    Tool,
    arguments_of,
    categories,
    findings,
    severities,
    short,
    way,
    worst_first,
)

VERSION: Final = 1
"""Of the shape. Members may be added under one number; what is there keeps its meaning."""
MAX_DESCRIPTION: Final = 8_000


def document(report: Report) -> dict[str, object]:
    """The report as JSON values. Texts of servers stand in it as they are, for a program to escape."""
    return {
        "v": VERSION,
        "ostiary": report.version,
        "when": report.when,
        "scanned": len(report.asked),
        "not_scanned": len(report.missed),
        "tools": sum(len(one.tools) for one in report.servers),
        "findings": sum(map(findings, report.servers)),
        "servers": [_server(one) for one in report.servers],
    }


def _server(one: Examined) -> dict[str, object]:
    target, found = one.scanned.target, one.scanned.found
    return {
        "name": one.name,
        "client": target.client,
        "source": target.source,
        "transport": target.transport,
        "way": way(target),
        "scanned": found is not None,
        "fault": one.scanned.fault,
        "hint": one.scanned.hint,
        "isolated": one.scanned.isolated,
        "network": one.scanned.network,
        "seconds": one.scanned.seconds,
        "calls_itself": None if found is None else msgspec.to_builtins(found.server),
        "revision": None if found is None else found.revision,
        "grade": None
        if one.grade is None
        else {
            "letter": one.grade.letter,
            "points": one.grade.points,
            "bound": one.grade.bound,
            "parts": [{"what": what, "points": points} for what, points in one.grade.parts],
        },
        "tokens": one.tokens,
        "categories": {str(category): number for category, number in categories(one)},
        "severities": {str(severity): number for severity, number in severities(one)},
        "findings": findings(one),
        "in_other_texts": msgspec.to_builtins(one.findings),
        "ambiguous": list(one.ambiguous),
        "tools": [_tool(tool) for tool in worst_first(one)],
        "instructions": "" if found is None else found.instructions[:MAX_DESCRIPTION],
        "resources": [] if found is None else [_listed(each) for each in found.resources],
        "templates": [] if found is None else [_listed(each) for each in found.templates],
        "prompts": [] if found is None else [_listed(each) for each in found.prompts],
        "troubles": [] if found is None else list(found.troubles),
    }


def _listed(one: Listed) -> dict[str, object]:
    return {
        "name": one.name,
        "title": one.title,
        "description": one.description[:MAX_DESCRIPTION],
        "uri": one.uri,
        "mime": one.mime,
        "digest": one.digest,
    }


def _tool(tool: Tool) -> dict[str, object]:
    told = tool.told
    return {
        **msgspec.to_builtins(tool.known),
        "title": told.title,
        "description": told.description[:MAX_DESCRIPTION],
        "annotations": {
            short(key): value
            for key, value in told.annotations.items()
            if isinstance(value, bool) or (isinstance(value, str) and len(value) <= MAX_DESCRIPTION)
        },
        "arguments": [msgspec.to_builtins(fact) for fact in arguments_of(told)],
        "recommended": {"effect": tool.choice.effect, "reason": tool.choice.reason},
        "tokens": tokens_of(told),
        "digest": printable(tool.digest),
    }
