"""What a recommended policy does with one tool, and why: allow, ask a person, deny or hide. Pure.

Every reason asks for one effect, and the strictest one counts. So another finding, signal or doubt
can only ever make it stricter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from ostiary.registry.change import named, printable
from ostiary.registry.classification import Category, Classification, Sensitivity, Severity
from ostiary.registry.classify.words import text_words
from ostiary.registry.recommended_arguments import Reading, label

Effect = Literal["allow", "approve", "deny", "hide"]
ORDER: Final[tuple[Effect, ...]] = ("allow", "approve", "deny", "hide")
"""Loosest first."""

MAX_EVIDENCE: Final = 4

_ALWAYS_HIDDEN: Final = frozenset({"shadowed-name", "malformed-name", "unread"})
_FREE: Final[Mapping[str, str]] = {
    "shell-command": "takes a command line",
    "free-code": "takes free-form code, and nothing here says that it runs behind walls",
    "free-query": "takes a free-form query",
    "raw-html": "takes HTML or a template that something will render",
    "weak-types": "takes arguments without a type",
}
_RISKS: Final[Mapping[str, str]] = {
    "shell-command": "takes a command line",
    "free-code": "takes free-form code",
    "credentials": "takes a credential",
    "bulk": "acts on many things at once",
    "admin": "acts on who may do what",
    "contradiction": "says less of itself in its annotations than in its text",
    "says-destructive": "says itself that it can destroy",
}
_QUERIES: Final = frozenset({"sql", "statement", "statements", "cypher", "graphql", "pipeline", "where"})
_PACKAGES: Final = frozenset({"package", "packages", "dependencies", "requirements"})
_SENDS: Final = frozenset({
    "send", "sends", "sending", "post", "posts", "posting", "publish", "publishes", "share", "shares",
    "forward", "forwards", "invite", "invites", "reply", "replies", "notify", "notifies", "broadcast",
    "email", "mail", "message", "tweet", "submit", "upload",
})  # fmt: skip


class Reason(msgspec.Struct, frozen=True):
    """Why a tool has at least this effect. `text` completes "it …", with names of the server at most."""

    effect: Effect
    text: str


def reasons_of(judged: Classification, reading: Reading, *, has_schema: bool) -> tuple[Reason, ...]:
    """Every reason, the strictest first."""
    found = [
        *_by_findings(judged),
        *_by_category(judged, reading),
        *_by_data(judged),
        *_by_risks(judged),
        *_by_arguments(reading, has_schema=has_schema),
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: -ORDER.index(one.effect)))


def said(judged: Classification) -> Iterator[str]:
    """The words that the classification went by, each with its place: text of the server, made printable."""
    for one in judged.evidence[:MAX_EVIDENCE]:
        yield printable(f"“{one.words[:64]}” in {one.where[:120]}: {one.reason}")
    for finding in judged.findings[:MAX_EVIDENCE]:
        yield printable(f"{finding.severity} {finding.kind} in {finding.where[:120]}: {finding.reason}")


def _by_findings(judged: Classification) -> Iterator[Reason]:
    for one in judged.findings:
        kind = printable(one.kind[:64])
        if one.severity in {Severity.HIGH, Severity.CRITICAL} or one.kind in _ALWAYS_HIDDEN:
            yield Reason("hide", f"has a definition that works on its reader ({kind})")
        elif one.severity is Severity.MEDIUM:
            yield Reason("approve", f"has something in its definition that may work on its reader ({kind})")


def _by_category(judged: Classification, reading: Reading) -> Iterator[Reason]:
    category = judged.category
    if category is Category.UNKNOWN:
        yield Reason("deny", "says nothing of what it does")
    elif category is Category.DESTRUCTIVE:
        yield Reason("approve", "takes away what may not come back")
    elif category is Category.FINANCIAL:
        yield Reason("approve", "moves money or commits somebody to pay")
    elif category is Category.EXECUTE:
        yield from _executes(judged, reading)
    elif category is Category.WRITE:
        yield from _writes(judged)
        yield from _installs(reading)
    else:
        yield from _reads(judged, reading)


def _executes(judged: Classification, reading: Reading) -> Iterator[Reason]:
    """Allowed only where every argument is bounded and none of them is a program by another name."""
    codes = {signal.code for signal in judged.signals}
    found = [Reason("approve", text) for code, text in _FREE.items() if code in codes]
    if reading.free:
        found.append(Reason("approve", f"starts something from free arguments ({_few(reading.free)})"))
    found += _installs(reading)
    if not reading.bounds:
        found.append(Reason("approve", "starts something, and has no argument that could be bounded"))
    yield from found or [Reason("allow", "starts something, from arguments that are bounded below")]


def _writes(judged: Classification) -> Iterator[Reason]:
    words = {word for one in judged.evidence for word in text_words(one.words[:64])}
    if words & _SENDS:
        yield Reason("approve", "sends something, and what is sent is not called back")
    if judged.sensitivity is Sensitivity.FINANCIAL:
        yield Reason("approve", "changes financial data")
    yield Reason("allow", "adds or changes something that can be changed back")


def _installs(reading: Reading) -> Iterator[Reason]:
    if any(bound.keys[-1].lower() in _PACKAGES for bound in reading.bounds):
        yield Reason("approve", "takes packages, and whatever installs one runs its code")


def _reads(judged: Classification, reading: Reading) -> Iterator[Reason]:
    asks = {bound.keys[-1].lower() for bound in reading.bounds}
    if asks & _QUERIES or any(one.rpartition("_")[2] in _QUERIES for one in asks):
        yield Reason("approve", "takes a free-form query, which decides what it does")
    if judged.evidence and all(one.rule == "mention" for one in judged.evidence):
        yield Reason("approve", "only mentions reading, and says nowhere plainly what it does")
    if judged.sensitivity in {Sensitivity.PERSONAL, Sensitivity.FINANCIAL}:
        yield Reason("allow", f"reads {judged.sensitivity} data, so much of it in an hour and a day")
    yield Reason("allow", "reads and leaves things as they are")


def _by_data(judged: Classification) -> Iterator[Reason]:
    if judged.sensitivity is Sensitivity.CREDENTIALS:
        yield Reason("approve", "handles credentials, and what a model sees a transcript keeps")
    if judged.severity is Severity.CRITICAL:
        yield Reason("approve", "is of critical severity")


def _by_risks(judged: Classification) -> Iterator[Reason]:
    codes = {signal.code for signal in judged.signals}
    for code, text in _RISKS.items():
        if code in codes:
            yield Reason("approve", text)


def _by_arguments(reading: Reading, *, has_schema: bool) -> Iterator[Reason]:
    if not has_schema:
        yield Reason("approve", "says nothing of its arguments, so that none can be bounded")
    elif reading.open:
        yield Reason("approve", "describes its arguments in ways that bounds do not follow")
    if reading.unnamed:
        yield Reason("deny", "has an argument whose name no rule can hold")
    if reading.unreached:
        yield Reason("approve", f"takes what no bound reaches ({_few(reading.unreached)})")


def _few(names: Sequence[str]) -> str:
    return ", ".join(named(each) for each in names[:3]) + (", …" if len(names) > 3 else "")  # noqa: PLR2004 - as many as a sentence bears


def limits_of(judged: Classification, reading: Reading) -> list[dict[str, object]]:
    """How often, by what the tool does and touches; a limit never depends on findings."""
    sensitivity = judged.sensitivity
    delicate = sensitivity in {Sensitivity.PERSONAL, Sensitivity.FINANCIAL}
    if sensitivity is Sensitivity.CREDENTIALS:
        return [_limit("calls", "hour", 10, "nobody needs many secrets in an hour")]
    if judged.category is Category.READ:
        if not delicate:
            return [_limit("calls", "minute", 60, "generous: it only ends a call that runs in circles")]
        return [
            _limit(
                "calls", "hour", 60, f"{sensitivity} data: enough for work, too slow to copy a collection"
            ),
            _limit("daily_calls", "day", 300, "the same over a day"),
        ]
    if judged.category is Category.WRITE:
        return [
            _limit("calls", "hour", 20 if delicate else 60, "what has to be changed back stays countable")
        ]
    if judged.category is Category.EXECUTE:
        together: dict[str, object] = {
            "#": ["one beside another, not a crowd"],
            "counter": "together",
            "max_concurrent": 2,
        }
        return [_limit("calls", "hour", 30, "each one is looked at, or bounded above"), together]
    if judged.category is Category.FINANCIAL:
        return [_limit("calls", "day", 20, "a person looks at each"), *_sums(reading)]
    return [_limit("calls", "hour", 10, "a person looks at each")]


def _sums(reading: Reading) -> Iterator[dict[str, object]]:
    """What all calls of a day may come to, where the amount is always there to be counted."""
    for bound in reading.bounds:
        asked = bound.asked
        if asked.amount and bound.excuse is None and isinstance(bound.path, str):
            most = asked.tests[0]["value"]
            if (
                len(asked.tests) > 1
                and isinstance(most, int)
                and 0 < most <= 10**12
                and _is_counted(asked.tests)
            ):
                why = f"ten times the most that one call may have in {label(bound)}"
                yield _limit("amount", "day", most * 10, why) | {"cost": bound.path}
                return


def _is_counted(tests: Sequence[Mapping[str, object]]) -> bool:
    """A negative amount is no cost, so nothing below zero may get there."""
    low = tests[1]["value"]
    return isinstance(low, int) and low >= 0


def _limit(counter: str, window: str, most: int, why: str) -> dict[str, object]:
    return {"#": [why], "counter": counter, "window": window, "max": most}
