"""One tool of the HTML report: a row that says the essential, and everything else below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ostiary.registry.change import valued
from ostiary.registry.classification import Classification, Finding
from ostiary.scan.examined import tokens_of
from ostiary.scan.report.markup import badge, facts, name, said, shown, table
from ostiary.scan.report.view import REMARKS, Tool, arguments_of, by_severity, count, reasons

_DOES: Final = {
    "Read": "A call asks for what is there and leaves it as it is.",
    "Write": "A call adds or changes something that stays.",
    "Execute": "A call starts code, a command or a process, and its effects are those of what is started.",
    "Destructive": "A call takes something away that may not come back.",
    "Financial": "A call moves money, or commits somebody to pay.",
    "Unknown": "The definition does not say what a call does.",
}
_HINTS: Final = {
    "readOnlyHint": "false",
    "destructiveHint": "true",
    "idempotentHint": "false",
    "openWorldHint": "true",
}
"""What a hint that is missing means (MCP, `ToolAnnotations`)."""


def tool_row(tool: Tool, anchor: str) -> str:
    """A closed `details` with the tool's row as its summary."""
    known = tool.known
    found = f"{badge('in its text', 'Critical')} " if known.findings else ""
    row = (
        f'<span class="row"><span>{badge(known.severity)}</span><span>{name(known.name)}</span>'
        f'<span class="why">{found}{_why(known)} · recommended: {tool.choice.effect}</span></span>'
    )
    return (
        f'<details id="{anchor}"><summary>{row}</summary><div class="inside">{_inside(tool)}</div></details>'
    )


def found_in(known: Classification) -> str:
    """All that was found in a definition, worst first."""
    return all_of(known.findings)


def all_of(findings: Sequence[Finding]) -> str:
    """Findings as a list, worst first."""
    items = "".join(f"<li>{_finding(each)}</li>" for each in by_severity(findings))
    return f'<ul class="plain">{items}</ul>'


def _finding(each: Finding) -> str:
    """What was found, why it matters, and the words."""
    words = said(each.excerpt) if each.excerpt else ""
    where = f"<code>{shown(each.where[:200])}</code>"
    return (
        f"{badge(each.severity)} <strong>{shown(each.kind)}</strong> in {where}: {shown(each.reason)}{words}"
    )


def _why(known: Classification) -> str:
    """Category, data, and the words that led there."""
    words = ", ".join(
        dict.fromkeys(
            f"<mark>{shown(each.words[:60])}</mark> in {shown(_in(each.where))}" for each in known.evidence
        )
    )
    signals = "; ".join(shown(each.text) for each in known.signals if each.code not in REMARKS)
    parts = [f"<strong>{known.category}</strong>, {known.sensitivity} data"]
    parts += [words] if words else ["nothing in it says what it does"]
    return " · ".join([*parts, *([signals] if signals else [])])


def _in(where: str) -> str:
    """The last word of a place, as a row has little room."""
    return where.rsplit(".", 1)[-1][:40]


def _inside(tool: Tool) -> str:
    known, told = tool.known, tool.told
    parts = [f"<h4>What it says</h4>{said(told.description)}" if told.description else ""]
    if known.findings:
        parts.append(f"<h4>What works on its reader</h4>{found_in(known)}")
    parts.append(f"<h4>What a call can do</h4><p>{_DOES[known.category]}</p>{_evidence(known)}")
    parts.append(
        f"<h4>Recommended</h4><p><strong>{tool.choice.effect}</strong>: {shown(tool.choice.reason)}</p>"
    )
    parts.append(_signals(known))
    parts.append(_arguments(tool))
    parts.append(
        facts(
            [
                ("Score", f"{known.score} of 5, {known.confidence:.0%} sure"),
                ("OWASP", ", ".join(map(shown, known.owasp))),
                ("Claims", _claims(tool)),
                ("Answers", "has a schema" if told.output_schema is not None else "no schema"),
                ("Context", f"about {count(tokens_of(told), 'token')}"),
                ("Definition", f"<code>{shown(tool.digest)}</code>"),
            ]
        )
    )
    return "".join(parts)


def _evidence(known: Classification) -> str:
    items = ""
    for reason, words in reasons(known):
        named = ", ".join(
            f"<mark>{shown(each.words[:200])}</mark> in <code>{shown(each.where[:200])}</code>"
            for each in words
        )
        items += f"<li>{named}: {shown(reason)}</li>"
    return f'<ul class="plain">{items}</ul>' if items else ""


def _signals(known: Classification) -> str:
    items = "".join(f"<li>{shown(each.text)}</li>" for each in known.signals)
    return f'<h4>Signals</h4><ul class="plain">{items}</ul>' if items else ""


def _arguments(tool: Tool) -> str:
    rows = [
        (
            f"<code>{shown(fact.name)}</code>",
            shown(fact.kind) + (", required" if fact.required else ""),
            shown(fact.bounds),
            f"<bdi>{shown(fact.about)}</bdi>" if fact.about else "",
        )
        for fact in arguments_of(tool.told)
    ]
    if not rows:
        return "<h4>Arguments</h4><p>The definition names none.</p>"
    return f"<h4>Arguments</h4>{table(('Name', 'Type', 'Bounds', 'What it says of it'), rows)}"


def _claims(tool: Tool) -> str:
    """The server's own hints, which nobody has to believe."""
    given = [
        f"{hint} {shown(valued(tool.told.annotations[hint]))}"
        for hint in _HINTS
        if hint in tool.told.annotations
    ]
    return ", ".join(given) if given else "no hints, which means that it may destroy"
