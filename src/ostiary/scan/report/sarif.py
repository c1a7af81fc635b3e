"""The report for code scanning: SARIF 2.1.0, one result for each finding and each tool that needs a rule."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from ostiary.registry.change import printable
from ostiary.registry.classification import Finding, Severity
from ostiary.scan.examined import Examined, from_there
from ostiary.scan.report.sarif_rules import RULES, Rule
from ostiary.scan.report.view import REMARKS, Report, Tool, by_severity, reasons, short, worst_first

_LEVELS: Final[Mapping[Severity, str]] = {
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}
_RANKS: Final[Mapping[Severity, float]] = {
    Severity.LOW: 20.0,
    Severity.MEDIUM: 50.0,
    Severity.HIGH: 75.0,
    Severity.CRITICAL: 100.0,
}
_WORTH_A_RULE: Final = frozenset({Severity.HIGH, Severity.CRITICAL})
FINGERPRINT: Final = "ostiaryScan/v1"

Json = dict[str, object]


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    """One result before it has its fingerprint. `where` is a path into the definition."""

    rule: str
    severity: Severity
    text: str
    tool: str = ""
    where: str = ""
    properties: Json = msgspec.field(default_factory=dict[str, object])


def sarif(report: Report, root: str = "") -> Json:
    """The report as the JSON values of a SARIF log. Files below the folder `root` are named from there on."""
    results = [
        _result(one, result, root, identity)
        for one, identity in zip(report.servers, _identities(report, root), strict=True)
        for result in _results(one)
    ]
    driver: Json = {
        "name": "Ostiary",
        "version": report.version,
        "rules": [_rule(rule) for rule in RULES.values()],
    }
    run: Json = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "ostiary-scan/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report)],
        "results": results,
    }
    return {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }


def _rule(rule: Rule) -> Json:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": _sentence(rule.what)},
        "fullDescription": {"text": _sentence(rule.what)},
        "help": {"text": rule.help},
        "properties": {"tags": list(rule.tags), "security-severity": rule.harm},
    }


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _invocation(report: Report) -> Json:
    """Whether all servers were asked; a scan that missed one was no success."""
    invocation: Json = {"executionSuccessful": not report.missed}
    if report.when:
        invocation["endTimeUtc"] = report.when
    if report.missed:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": _escaped(_missed(one))}} for one in report.missed
        ]
    return invocation


def _missed(one: Examined) -> str:
    return f"{short(one.name)} was not scanned: {printable(one.scanned.fault) or 'nothing came of it'}"


def _results(one: Examined) -> Iterator[_Result]:
    if one.scanned.found is None:
        yield _Result(rule="server/not-scanned", severity=Severity.HIGH, text=_missed(one))
    for name in one.ambiguous:
        text = f"{short(one.name)} lists {short(name)} twice, with two definitions; the first was looked at"
        yield _Result(rule="server/two-definitions", severity=Severity.HIGH, text=text, tool=name)
    for each in by_severity(one.findings):
        yield _found(short(one.name), each, "")
    for tool in worst_first(one):
        yield from _of_tool(one, tool)


def _found(who: str, each: Finding, tool: str) -> _Result:
    said = f": “{printable(each.excerpt)}”" if each.excerpt else ""
    return _Result(
        rule=f"finding/{each.kind}",
        severity=each.severity,
        text=f"{who}: {each.kind} in {short(each.where)}: {each.reason}{said}",
        tool=tool,
        where=each.where,
        properties={"severity": str(each.severity)},
    )


def _of_tool(one: Examined, tool: Tool) -> Iterator[_Result]:
    known = tool.known
    who = f"{short(known.name)} of {short(one.name)}"
    for each in by_severity(known.findings):
        yield _found(who, each, known.name)
    if known.severity not in _WORTH_A_RULE:
        return
    parts = [f"{who}: {known.category}, {known.severity} ({known.score}/5), {known.sensitivity} data"]
    for reason, words in reasons(known):
        named = ", ".join(f"`{short(each.words)}` in {short(each.where)}" for each in words)
        parts.append(f"because of {named}: {reason}")
    parts += [printable(each.text) for each in known.signals if each.code not in REMARKS]
    yield _Result(
        rule=f"tool/{known.category.lower()}",
        severity=known.severity,
        text="; ".join(parts),
        tool=known.name,
        properties={
            "severity": str(known.severity),
            "confidence": known.confidence,
            "owasp": list(known.owasp),
            "signals": [each.code for each in known.signals],
            "digest": tool.digest,
        },
    )


def _identities(report: Report, root: str) -> Iterator[tuple[str, str, str]]:
    """What each server is known by to who scans again, whatever else is scanned with it.

    The number tells those apart that one file has under one name.
    """
    counted = Counter[tuple[str, str]]()
    for one in report.servers:
        key = (one.scanned.target.name, from_there(one.scanned.target.source, root))
        counted[key] += 1
        yield *key, str(counted[key])


def _result(one: Examined, result: _Result, root: str, identity: tuple[str, str, str]) -> Json:
    """A result with its fingerprint; a kind of finding stands in one place at most once."""
    ids = list(RULES)
    key = (result.rule, *identity, result.tool, result.where)
    fingerprint = hashlib.sha256("\0".join(key).encode("utf-8", "backslashreplace")).hexdigest()
    return {
        "ruleId": result.rule,
        "ruleIndex": ids.index(result.rule),
        "level": _LEVELS[result.severity],
        "rank": _RANKS[result.severity],
        "message": {"text": _escaped(result.text)},
        "locations": [_location(one, result, root)],
        "partialFingerprints": {FINGERPRINT: fingerprint},
        "properties": result.properties,
    }


def _location(one: Examined, result: _Result, root: str) -> Json:
    """The configuration that names the server, where one does, and the place in its list of tools."""
    parts = [printable(each) for each in (one.name, result.tool, result.where) if each]
    logical: Json = {
        "name": short(result.tool or one.name),
        "fullyQualifiedName": "/".join(parts),
        "kind": "member" if result.where else "function" if result.tool else "module",
    }
    location: Json = {"logicalLocations": [logical]}
    source = one.scanned.target.source
    if source:
        location["physicalLocation"] = {"artifactLocation": _artifact(source, root)}
    return location


def _artifact(source: str, root: str) -> Json:
    source = from_there(source, root)
    if source.startswith("/"):
        return {"uri": "file://" + quote(source)}
    return {"uri": quote(source), "uriBaseId": "%SRCROOT%"}


def _escaped(text: str) -> str:
    r"""A text as SARIF wants it: `{` and `}` are doubled, and `[…](…)` is no link."""
    text = printable(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return text.replace("{", "{{").replace("}", "}}")
