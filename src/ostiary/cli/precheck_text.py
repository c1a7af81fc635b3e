"""How the answer of `ostiary precheck` is shown: in 80 columns, and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Final

import msgspec

from ostiary.registry.change import Change, named, printable
from ostiary.registry.client_rules import ELSEWHERE, Rules, claude_text, codex_text, rules_for
from ostiary.registry.verdict import Fact
from ostiary.wiring.prechecking import Answer

WIDTH: Final = 80
_SOURCES: Final = {
    "connected": "as it answered now",
    "seen": "as it answered here on {at}",
    "record": "as recorded on {at}",
    "pins": "as pinned on {at}",
    "nothing": "nothing is known of it",
}
_KINDS: Final = {"pypi": "PyPI", "npm": "npm", "image": "an image", "local": "a program", "url": "a URL"}


def lines(answer: Answer, called: str) -> Iterator[str]:
    """The lines for people. With `called` also the rules, for a server that a client calls so."""
    subject, verdict = answer.subject, answer.verdict
    kind = _KINDS.get(subject.kind)
    source = _SOURCES[answer.known.source].format(at=answer.known.at or "an unknown day")
    yield from _folded(f"{subject.spec}{f' ({kind})' if kind else ''}: {source}", "", "  ")
    yield f"verdict: {verdict.action}"
    for reason in verdict.reasons:
        yield from _folded(f"{reason.code}: {reason.text}", "  ", "    ")
    if answer.case.facts:
        yield from _folded(_tally(answer.case.facts), "", "  ")
    yield from _changed(answer.case.changes, answer.case.since)
    if called:
        yield ""
        yield from _rules(rules_for(called, verdict.tools))


def _tally(facts: Iterable[Fact]) -> str:
    counts: dict[str, int] = {}
    for fact in facts:
        counts[fact.category] = counts.get(fact.category, 0) + 1
    return "tools: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _changed(changes: Iterable[Change], since: str) -> Iterator[str]:
    listed = list(changes)
    if not listed:
        if since:
            yield f"nothing changed since it was last seen on {since}"
        return
    yield f"changed since it was last seen on {since}:" if since else "changed since it was last seen:"
    for change in listed:
        yield from _folded(f"{change.risk}: {named(change.tool)}: {change.words}", "  ", "    ")
        if change.before:
            yield from _folded(change.before, "    - ", "      ")
        if change.after:
            yield from _folded(change.after, "    + ", "      ")


def _rules(rules: Rules) -> Iterator[str]:
    if not rules.codex and not rules.left:
        yield "rules: none are needed for what is known"
        return
    if rules.codex:
        yield "rules for Claude Code, in settings.json:"
        yield from claude_text(rules).split("\n")
        yield "rules for Codex, in config.toml:"
        yield from codex_text(rules).split("\n")
    for tool in rules.left:
        yield from _folded(f"no client's rule can name {named(tool)}: only a gate denies it", "", "  ")
    yield from _folded(ELSEWHERE, "", "  ")


def _folded(text: str, first: str, later: str) -> list[str]:
    found = wrap(
        printable(text), WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    )
    return found or [first.rstrip()]


def as_json(answer: Answer, called: str) -> dict[str, object]:
    """The same for programs."""
    subject, case = answer.subject, answer.case
    document: dict[str, object] = {
        "v": 1,
        "subject": {
            "kind": subject.kind,
            "name": subject.name,
            "version": subject.version,
            "wanted": subject.wanted,
            "floating": subject.floating,
        },
        "verdict": answer.verdict.action,
        "reasons": [msgspec.to_builtins(reason) for reason in answer.verdict.reasons],
        "deny": list(answer.verdict.tools),
        "known": {"source": answer.known.source, "version": answer.known.version, "at": answer.known.at},
        "near": case.near.known if case.near is not None else None,
        "tools": [msgspec.to_builtins(fact) for fact in case.facts],
        "since": case.since,
        "changes": [
            {"before": "", "after": "", "pointer": "", **msgspec.to_builtins(change)}
            for change in case.changes
        ],
    }
    if called:
        rules = rules_for(called, answer.verdict.tools)
        document["rules"] = {
            "server": rules.server,
            "claude_code": {"permissions": {"deny": list(rules.claude_code)}},
            "codex": {"mcp_servers": {rules.server: {"disabled_tools": list(rules.codex)}}},
            "left_to_the_gate": list(rules.left),
        }
    return document
