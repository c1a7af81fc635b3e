"""The report as one HTML file: no script, nothing from elsewhere, every text of a server as text."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Final

from ostiary.registry.classify.rules import load
from ostiary.registry.recommended import Recommended
from ostiary.scan.examined import Examined, tokens_of
from ostiary.scan.report.html_style import POLICY, STYLE
from ostiary.scan.report.html_tool import all_of, found_in, tool_row
from ostiary.scan.report.markup import badge, bar, facts, name, said, shown, table
from ostiary.scan.report.view import (
    Report,
    Tool,
    besides,
    categories,
    count,
    findings,
    place,
    policy_of,
    severities,
    share,
    short,
    spoken,
    sum_of,
    surroundings,
    way,
    worst_first,
)

MAX_LISTED: Final = 100
_EFFECTS: Final = {"allow": "allows", "approve": "asks a person for", "hide": "hides", "deny": "denies"}
_STEPS: Final = (
    "Have it written with <code>ostiary scan --policy-out policy.json</code>, read it, and start the server "
    "behind it: <code>ostiary proxy -p policy.json -- COMMAND</code>."
)


def html(report: Report) -> str:
    """The whole page."""
    servers = (*report.missed, *report.asked)
    anchors = {one.name: f"s{number}" for number, one in enumerate(servers, start=1)}
    overview = _overview(servers, anchors) if len(servers) > 1 else ""
    body = "".join(_server(one, anchors[one.name]) for one in servers)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">'
        f"<title>{_title(report)}</title><style>{STYLE}</style></head>\n<body>"
        f"<header><h1>{_title(report)}</h1><p>{_lead(report)}</p></header>"
        f"{overview}{body}{_footer(report)}</body></html>\n"
    )


def _title(report: Report) -> str:
    servers = report.servers
    who = shown(short(servers[0].name)) if len(servers) == 1 else f"{len(servers)} MCP servers"
    return f"What {who} can do"


def _lead(report: Report) -> str:
    tools = [known for one in report.asked for known in one.judged]
    grave = sum(known.severity in ("High", "Critical") for known in tools)
    parts = [f"{count(len(report.asked), 'server')} and {count(len(tools), 'tool')}"]
    if tools:
        parts.append(f"{grave} of the tools can do harm that is High or Critical")
    found = sum(map(findings, report.asked))
    if found:
        parts.append(f"<strong>{count(found, 'finding')} in their texts</strong>")
    if report.missed:
        parts.append(f"<strong>{count(len(report.missed), 'server')} could not be scanned</strong>")
    return "; ".join(parts) + "."


def _overview(servers: tuple[Examined, ...], anchors: dict[str, str]) -> str:
    rows = [
        (
            badge(one.grade.letter) if one.grade else badge("not scanned", "Critical"),
            f'<a href="#{anchors[one.name]}">{shown(short(one.name))}</a>',
            f"{len(one.tools):,}" if one.grade else "",
            ", ".join(f"{number} {severity}" for severity, number in severities(one)),
            f"{findings(one):,}" if one.grade else "",
            f"{one.tokens:,}" if one.grade else "",
        )
        for one in servers
    ]
    heads = ("Grade", "Server", "Tools#", "Severity", "Findings#", "Tokens#")
    return f"<section>{table(heads, rows)}</section>"


def _server(one: Examined, anchor: str) -> str:
    letter = one.grade.letter if one.grade else "?"
    kind = letter if one.grade else "none"
    spoke = shown(spoken(one.scanned)) or "could not be scanned"
    head = (
        f'<div class="head"><div class="grade {kind}" role="img" aria-label="grade {letter}">{letter}</div>'
        f'<div><h2>{name(one.name)}</h2><p class="soft small">{spoke}</p></div></div>'
    )
    inner = _asked(one, anchor) if one.grade else _missed(one)
    return f'<section id="{anchor}">{head}{inner}</section>'


def _missed(one: Examined) -> str:
    hint = f"<p>{shown(one.scanned.hint)}</p>" if one.scanned.hint else ""
    return (
        f'<div class="alarm"><h3>Nothing is known of this server</h3><p>'
        f"{shown(one.scanned.fault) or 'Nothing came of it.'}</p>{hint}</div>{_where(one, [])}"
    )


def _asked(one: Examined, anchor: str) -> str:
    kinds = ", ".join(f"{number} {category}" for category, number in categories(one))
    rows = [
        ("Grade", shown(sum_of(one.grade)) if one.grade else ""),
        ("Tools", f"{len(one.tools):,}" + (f": {kinds}" if kinds else "")),
        ("Context", _context(one)),
        ("Besides", besides(one.scanned)),
        (
            "Not told",
            "; ".join(shown(each) for each in one.scanned.found.troubles) if one.scanned.found else "",
        ),
    ]
    levels = tuple((str(severity), number) for severity, number in severities(one))
    drawn = bar(levels) if levels else ""
    policy = policy_of(one)
    tools = worst_first(one, policy)
    listed = "".join(tool_row(tool, f"{anchor}t{number}") for number, tool in enumerate(tools, start=1))
    legend = '<div class="legend"><span>Severity</span><span>Tool</span><span>Why</span></div>'
    table_ = f'<h3>Tools, worst first</h3>{legend}<div class="tools">{listed}</div>' if tools else ""
    last = _policy(policy) if tools else ""
    return f"{drawn}{_where(one, rows)}{_alarm(one, tools)}{table_}{_besides(one)}{last}"


def _context(one: Examined) -> str:
    if not one.tools:
        return ""
    heaviest = max(one.tools, key=tokens_of)
    most = f", {tokens_of(heaviest):,} of them for {name(heaviest.name)}" if len(one.tools) > 1 else ""
    return f"about {count(one.tokens, 'token')} in every conversation, {share(one.tokens)}{most}"


def _where(one: Examined, rows: list[tuple[str, str]]) -> str:
    seen = shown(surroundings(one.scanned)) if one.grade else ""
    named = f"{shown(way(one.scanned.target))}, from <code>{shown(place(one.scanned.target))}</code>"
    return facts([*rows, ("Scanned", seen), ("Server", named)])


def _besides(one: Examined) -> str:
    """The instructions that a host gives its model, and names of what can be read."""
    found = one.scanned.found
    if found is None:
        return ""
    told = f"<h3>What it tells a model to do</h3>{said(found.instructions)}" if found.instructions else ""
    for heading, entries in (
        ("Resources", found.resources),
        ("Templates", found.templates),
        ("Prompts", found.prompts),
    ):
        if entries:
            names = ", ".join(name(each.uri or each.name) for each in entries[:MAX_LISTED])
            more = f", and {len(entries) - MAX_LISTED:,} more" if len(entries) > MAX_LISTED else ""
            told += f"<h3>{heading}</h3><p>{names}{more}</p>"
    return told


def _policy(policy: Recommended) -> str:
    """The whole recommended policy, and how it is put in force."""
    counted = Counter(choice.effect for choice in policy.choices)
    does = ", ".join(f"{_EFFECTS[effect]} {counted[effect]}" for effect in _EFFECTS if counted[effect])
    text = f'<div class="inside"><pre>{escape(policy.json)}</pre></div>'
    whole = f'<div class="tools"><details><summary>The whole policy</summary>{text}</details></div>'
    return f"<h3>Recommended policy</h3><p>It {does}. {_STEPS}</p>{whole}"


def _alarm(one: Examined, tools: tuple[Tool, ...]) -> str:
    items = [
        f"<li>{badge('High')} {name(each)} is listed twice, with two definitions; "
        "only the first was looked at</li>"
        for each in one.ambiguous
    ]
    items += [f"<li>Its texts beside the tools{all_of(one.findings)}</li>"] if one.findings else []
    items += [
        f"<li>{name(tool.known.name)}{found_in(tool.known)}</li>" for tool in tools if tool.known.findings
    ]
    if not items:
        return ""
    return f'<div class="alarm"><h3>What works on its reader</h3><ul>{"".join(items)}</ul></div>'


def _footer(report: Report) -> str:
    when = f" on <time>{shown(report.when)}</time>" if report.when else ""
    return (
        f'<footer class="soft small"><p>Written by ostiary {shown(report.version)}{when}. '
        "The tools were listed, none was called. What a server says of itself may be untrue, and it may "
        "change: pin what you have read.</p>"
        "<p>Tokens are an estimate: a fourth of the bytes that a model is given. "
        f"{_scale()}</p></footer>"
    )


def _scale() -> str:
    """What the points of a grade are, from the rules that count them."""
    rules = load().severities.grade
    points = ", ".join(f"{each} for a {severity} tool" for severity, each in rules.points.items() if each)
    letters = ", ".join(f"up to {most} {letter}" for letter, most in rules.letters)
    return f"Points: {points}, {rules.finding} for a finding; {letters}, and more F."
