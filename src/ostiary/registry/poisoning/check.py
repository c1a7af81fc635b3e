"""All checks of a list of tools. Pure, deterministic, bounded; never raises for what a server wrote."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ostiary.policy.twins import fold
from ostiary.registry.change import printable
from ostiary.registry.classification import Described, Finding, Severity
from ostiary.registry.poisoning.across import Other, others, siblings
from ostiary.registry.poisoning.characters import unseen
from ostiary.registry.poisoning.names import Known, imitated, known_names, malformed, mixed
from ostiary.registry.poisoning.payloads import inner, sentence
from ostiary.registry.poisoning.plain import plain, views
from ostiary.registry.poisoning.walk import Text, Unread, texts, written
from ostiary.registry.poisoning.wording import Asking, rules, said
from ostiary.wire.message import as_object

MAX_EXCERPT: Final = 160
MAX_FINDINGS: Final = 200
"""Findings that are told of one tool; more of them change nothing."""

_BEFORE: Final = 24
_SHORTEST: Final = 6
"""No order has fewer characters."""

_REMEMBERED: Final = 1_024


class _Hit(NamedTuple):
    kind: str
    excerpt: str
    reason: str
    severity: Severity
    tool: str = ""


def findings(tools: Sequence[Described]) -> tuple[tuple[Finding, ...], ...]:
    """What works on the reader in each of `tools`, in their order.

    Give all tools that one client sees: kinds in `ACROSS` depend on the others, no other kind does.
    """
    known = {server: _Own(names) for server, names in siblings(tools).items()}
    beside: list[list[Other]] = [[] for _ in tools]
    for other in others(tools, rules().confusables):
        beside[other.tool].append(other)
    return tuple(_of_tool(tool, known[tool.server], beside[index]) for index, tool in enumerate(tools))


def _of_tool(tool: Described, own: _Own, beside: Sequence[Other]) -> tuple[Finding, ...]:
    found: dict[tuple[str, str], Finding] = {}
    for finding in _in_definition(tool, own):
        found.setdefault((finding.kind, finding.where), finding)
        if len(found) >= MAX_FINDINGS:
            break
    for other in beside:
        key = (other.kind, other.where)
        found.setdefault(key, Finding(*key, _short(other.excerpt), other.reason, other.severity))
    return tuple(found.values())


def _in_definition(tool: Described, own: _Own) -> Iterator[Finding]:
    for text in texts(tool):
        if isinstance(text, Unread):
            reason = f"{text.why}; what is in the rest is not known, so it is not honest to call it clean"
            yield Finding("unread", written(text.place), "", reason, Severity.HIGH)
            continue
        for hit in _of_text(text):
            if hit.tool and _is_own(hit.tool, own):
                continue
            yield Finding(hit.kind, written(text.place), _short(hit.excerpt), hit.reason, hit.severity)


class _Own:
    """The names of the tools of one server. `anywhere` is all of them as one text, each on its line."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.anywhere = "\n".join(names)


def _is_own(tool: str, own: _Own) -> bool:
    """Whether the server has the tool; `the search tool` may be any whose name has that word."""
    name = fold(tool)
    if name in own.names:
        return True
    word, _, kind = tool.rpartition(" ")
    if kind != "tool":
        return False
    word = fold(word.removesuffix(" mcp"))
    # What is folded has no line end, so that it stands within one name or in none.
    return word in _ANY or word in own.anywhere


_ANY: Final = frozenset(
    {"this", "the", "a", "an", "that", "same", "which", "right", "any", "every", "each", "other", "another"}
    | {"all", "such", "mcp", "following", "first", "next", "previous", "above", "below", "our", "one", "its"}
)
"""Words before `tool` that name none."""


def _of_text(text: Text) -> Iterator[_Hit]:
    if text.role == "name":
        yield from _of_name(text.text)
    elif text.role == "parameter":
        yield from _of_parameter(text.text, text.about)
    if len(text.text) >= _SHORTEST:
        yield from (_remembered if len(text.text) <= _REMEMBERED else _read)(text.text)
    elif not text.text.isascii():
        yield from _unseen(text.text)


@functools.lru_cache(maxsize=8_192)
def _remembered(text: str) -> tuple[_Hit, ...]:
    """The same few texts stand in most definitions of a server."""
    return tuple(_read(text))


def _read(text: str) -> Iterator[_Hit]:
    yield from _unseen(text)
    yield from _wording(text, "")
    for how, hidden in inner(text):
        hits = [*_wording(hidden, f"{how}: ")]
        if hits or (sentence(hidden) and not how.startswith(("in percent", "in entities"))):
            reason = f"sentences {how}; what is honest is written plainly"
            yield _Hit("encoded-text", hidden, reason, Severity.HIGH if hits else Severity.MEDIUM)
        yield from hits


def _unseen(text: str) -> Iterator[_Hit]:
    for seen in unseen(text):
        around = text[max(0, seen.start - _BEFORE) : seen.end + MAX_EXCERPT]
        if seen.kind == "out-of-sight":
            around = text[seen.end : seen.end + MAX_EXCERPT]
        yield _Hit(seen.kind, around, seen.reason, seen.severity)


def _wording(text: str, how: str) -> Iterator[_Hit]:
    for view in views(text, rules().confusables):
        data = view.encode("utf-8", "replace")
        for each in said(data):
            around = data[max(0, each.start - _BEFORE) : each.end + _BEFORE].decode("utf-8", "ignore")
            yield _Hit(each.kind, around, how + each.reason, each.severity, each.tool)


def _of_name(name: str) -> Iterator[_Hit]:
    reason = malformed(name)
    if reason:
        yield _Hit("malformed-name", name, reason, Severity.MEDIUM)
    yield from _mixed(name)
    like = imitated(name, _known(), rules().confusables)
    if like:
        yield _Hit("imitated-name", name, f"nearly `{like}`, which many servers have", Severity.MEDIUM)


@functools.cache
def _known() -> tuple[Known, ...]:
    return known_names(rules().known, rules().confusables)


def _mixed(name: str) -> Iterator[_Hit]:
    if mixed(name, rules().confusables):
        reason = "letters of another script that look like Latin ones: two names that look the same"
        yield _Hit("mixed-scripts", name, reason, Severity.HIGH)


def _of_parameter(name: str, schema: object) -> Iterator[_Hit]:
    yield from _mixed(name)
    flat = re.sub(r"[\W_]", "", plain(name[:128]))
    for asking in rules().parameters:
        if flat in asking.names and _asks(asking, schema):
            yield _Hit("context-parameter", name, asking.reason, asking.severity)


def _asks(asking: Asking, schema: object) -> bool:
    value = (as_object(schema) or {}).get("description")
    text = plain(value[:65_536]).encode("utf-8", "replace") if isinstance(value, str) else b""
    if not text.strip():
        return asking.bare
    return next(asking.wording(text), None) is not None and next(asking.unless(text), None) is None


def _short(text: str) -> str:
    line = " ".join(text[: MAX_EXCERPT * 4].split())
    shown = printable(line[:MAX_EXCERPT])
    return shown if len(line) <= MAX_EXCERPT and len(shown) <= MAX_EXCERPT else shown[: MAX_EXCERPT - 1] + "…"
