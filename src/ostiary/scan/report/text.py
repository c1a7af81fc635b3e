"""The report for a terminal: 80 columns, worst first, as short as it can be."""

from __future__ import annotations

from collections.abc import Iterator

from ostiary.registry.change import printable
from ostiary.registry.classification import Finding, Severity
from ostiary.scan.examined import Examined
from ostiary.scan.report.columns import WIDTH, Show, columns, wrapped
from ostiary.scan.report.view import (
    REMARKS,
    Report,
    Tool,
    besides,
    by_severity,
    categories,
    count,
    findings,
    place,
    reasons,
    share,
    short,
    spoken,
    sum_of,
    surroundings,
    way,
    worst_first,
)

_DEEP = " " * 11
_WHY = 2
"""Reasons that are shown of a tool; JSON and HTML have all."""


def text(report: Report, show: Show = printable) -> str:
    """The whole report, ending with a line end. `show` makes texts of servers fit for the terminal."""
    lines: list[str] = []
    for one in (*report.missed, *report.asked):
        lines += [*_server(one, show), ""]
    return "\n".join([*lines, *wrapped(_total(report), "")]) + "\n"


def _total(report: Report) -> str:
    tools = sum(len(one.tools) for one in report.asked)
    found = sum(map(findings, report.asked))
    parts = [
        f"{count(len(report.asked), 'server')} scanned, {count(tools, 'tool')}, {count(found, 'finding')}"
    ]
    if report.missed:
        parts.append(f"{count(len(report.missed), 'server')} NOT scanned")
    return "; ".join(parts) + ". Tools were listed; none was called."


def _server(one: Examined, show: Show) -> Iterator[str]:
    grade = f"grade {one.grade.letter}" if one.grade else "NOT SCANNED"
    (name, *more) = wrapped(show(short(one.name)), "", "")
    yield name + " " * max(2, WIDTH - columns(name) - len(grade)) + grade
    yield from more
    if one.grade is None:
        fault = one.scanned.fault or "nothing came of it"
        yield from wrapped(show(fault), "  ", "  ")
        if one.scanned.hint:
            yield from wrapped(show(one.scanned.hint), "  hint: ", "  ")
        yield from wrapped(show(f"{way(one.scanned.target)}, from {place(one.scanned.target)}"), "  ", "  ")
        return
    yield from _facts(one, show)
    for each in by_severity(one.findings):
        yield from _found(each, show, "  ")
    tools = worst_first(one)
    quiet = [tool for tool in tools if tool.known.severity is Severity.LOW and not tool.known.findings]
    if tools:
        yield ""
    for tool in tools:
        if tool not in quiet:
            yield from _tool(tool, show)
    if quiet:
        names = ", ".join(show(short(tool.told.name)) for tool in quiet)
        yield from wrapped(names, "  Low      ", _DEEP)


def _facts(one: Examined, show: Show) -> Iterator[str]:
    kinds = ", ".join(f"{number} {category}" for category, number in categories(one))
    tools = count(len(one.tools), "tool") + (f": {kinds}" if kinds else "")
    yield from wrapped(tools, "  ", "  ")
    if one.grade is not None:
        yield from wrapped(sum_of(one.grade), "  ", "  ")
    yield from wrapped(f"about {count(one.tokens, 'token')} of context, {share(one.tokens)}", "  ", "  ")
    more = besides(one.scanned)
    if more:
        yield from wrapped(f"beside its tools {more}", "  ", "  ")
    yield from wrapped(show(spoken(one.scanned)), "  ", "  ")
    yield from wrapped(surroundings(one.scanned), "  ", "  ")
    for trouble in one.scanned.found.troubles if one.scanned.found else ():
        yield from wrapped(f"not all was told: {show(trouble)}", "  ! ", "    ")
    for name in one.ambiguous:
        line = f"`{show(short(name))}` is listed twice, with two definitions: only the first was looked at"
        yield from wrapped(line, "  ! ", "    ")


def _found(each: Finding, show: Show, indent: str) -> Iterator[str]:
    said = f"{each.severity}: {each.kind} in {show(short(each.where))}: {each.reason}"
    yield from wrapped(said, f"{indent}! ", f"{indent}  ")
    if each.excerpt:
        yield from wrapped(f"“{show(each.excerpt)}”", f"{indent}  ", f"{indent}  ")


def _tool(tool: Tool, show: Show) -> Iterator[str]:
    known = tool.known
    yield from wrapped(show(short(known.name)), f"  {known.severity:9}", _DEEP)
    yield from wrapped(
        f"{known.category}, {known.score}/5, {known.sensitivity} data, {known.confidence:.0%} sure; "
        f"recommended: {tool.choice.effect}",
        _DEEP,
        _DEEP,
    )
    for each in by_severity(known.findings):
        yield from _found(each, show, _DEEP)
    for reason, words in reasons(known)[:_WHY]:
        named = ", ".join(f"`{show(short(each.words))}` in {show(short(each.where))}" for each in words)
        yield from wrapped(f"because of {named}: {reason}", _DEEP, f"{_DEEP}  ")
    signals = "; ".join(show(each.text) for each in known.signals if each.code not in REMARKS)
    if signals:
        yield from wrapped(signals, _DEEP, f"{_DEEP}  ")
