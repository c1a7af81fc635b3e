"""Tools that pass any request on to an API or an address: as bad as the worst method of a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ostiary.registry.change import printable
from ostiary.registry.classification import Category, Described, Evidence
from ostiary.registry.classify.finding import Hit
from ostiary.registry.classify.reading import Argument
from ostiary.registry.classify.rules import Rules
from ostiary.registry.classify.words import MAX_TEXT, Words, sentences, singular, text_words

BEFORE: Final = 6
"""Words before `any` among which it is said that something is sent."""

AFTER: Final = 6
"""Words behind `any` among which it is said what."""

_BOUNDED: Final = 2
"""Methods that a description names if it lists them; a single one is the default, or an example."""

_METHOD: Final = re.compile(r"\b(?:GET|HEAD|OPTIONS|POST|PUT|PATCH|DELETE)\b")
_EXAMPLE: Final = re.compile(r"\b(?:e\.g|etc|such as|for example|like|including)\b", re.IGNORECASE)
_KINDS: Final = frozenset({"string", ""})

Passed = Iterator[tuple[Category, Evidence]]


def any_request(
    tool: Described, arguments: Sequence[Argument], named: Sequence[Hit], words: Words, rules: Rules
) -> Passed:
    """What the worst request does that a tool passes on, by its arguments or by its text."""
    if not _sets_up(named, rules):
        yield from _taken(arguments, rules)
    if not _shows(named, words, rules) and not _harmless(tool, rules):
        yield from _told(tool, rules)


def _sets_up(named: Sequence[Hit], rules: Rules) -> bool:
    """Whether the name says that a request is kept and not sent: `create_monitor`."""
    return any(
        hit.verb.effect is Category.WRITE
        and hit.verb.strength == "strong"
        and hit.verb.word not in rules.effects.passthrough.sends
        for hit in named
    )


def _shows(named: Sequence[Hit], words: Words, rules: Rules) -> bool:
    """Whether the name says that something is shown: `get_endpoint_docs`, `api_docs`."""
    noun = rules.nouns.get(words[-1]) if words else None
    return any(hit.verb.effect is Category.READ and hit.verb.strength == "strong" for hit in named) or (
        noun is not None and noun.effect is Category.READ
    )


def _harmless(tool: Described, rules: Rules) -> bool:
    text = " ".join(tool.description[:MAX_TEXT].lower().split())
    told = any(each in text for each in rules.effects.harmless.words)
    return told and not {*text_words(text)} & {*rules.effects.harmless.not_with}


def _taken(arguments: Sequence[Argument], rules: Rules) -> Passed:
    """By an argument for the method, beside one for the address and one for what is sent."""
    wanted = rules.effects.passthrough
    for one in arguments:
        if one.words not in wanted.method or one.kind not in _KINDS:
            continue
        beside = {other.words for other in arguments if _place(other) == _place(one)}
        effect = _by_method(one, rules)
        if _outermost(one, arguments) and beside & wanted.address and beside & wanted.payload and effect:
            yield effect, Evidence(printable(one.name[:64]), one.where, wanted.reason, "passthrough")


def _place(one: Argument) -> str:
    return one.where.rpartition(".properties.")[0]


def _outermost(one: Argument, arguments: Sequence[Argument]) -> bool:
    """Whether it is an argument of the tool, or of the only object that the tool takes."""
    outer = [each for each in arguments if _place(each) == "inputSchema"]
    return one in outer or (len(outer) == 1 and _place(one) == outer[0].where)


def _by_method(one: Argument, rules: Rules) -> Category | None:
    """The effect of the worst method that is taken; None where what is listed are no methods of a request."""
    if one.choices:
        return _worst([choice.upper() for choice in one.choices], rules)
    text = one.schema.get("description")
    text = text[:MAX_TEXT] if isinstance(text, str) else ""
    listed = {*_METHOD.findall(text)}
    if len(listed) < _BOUNDED or _EXAMPLE.search(text):
        return Category.DESTRUCTIVE
    return _worst(listed, rules)


def _worst(methods: Iterable[str], rules: Rules) -> Category | None:
    known = {rules.effects.passthrough.methods.get(each) for each in methods}
    for effect in (Category.DESTRUCTIVE, Category.WRITE, Category.READ):
        if effect in known:
            return effect
    return None


def _told(tool: Described, rules: Rules) -> Passed:
    """By a sentence: `calling any API endpoint`, `supports all HTTP methods`."""
    wanted = rules.effects.passthrough
    for sentence in sentences(tool.description):
        words = text_words(sentence)
        for at, word in enumerate(words):
            if word not in wanted.any and word not in wanted.every:
                continue
            end = _object(words[at + 1 : at + 1 + AFTER], rules, methods_only=word in wanted.every)
            if not end or not wanted.sends & {*words[max(0, at - BEFORE) : at]}:
                continue
            said = words[at : at + end + 1]
            effect = _by_sentence(sentence, said, rules)
            yield (
                effect,
                Evidence(printable(" ".join(said))[:64], "description", wanted.reason, "passthrough"),
            )
            return


def _by_sentence(sentence: str, said: Words, rules: Rules) -> Category:
    """The worst method that the sentence names, unless it names some as an example or speaks of all."""
    if singular(said[-1]) in rules.effects.passthrough.methods_said or _EXAMPLE.search(sentence):
        return Category.DESTRUCTIVE
    return _worst({*_METHOD.findall(sentence)}, rules) or Category.DESTRUCTIVE


def _object(words: Words, rules: Rules, *, methods_only: bool) -> int:
    """The words up to `API endpoint` or `HTTP method`; 0 without."""
    wanted = rules.effects.passthrough
    for at in range(len(words) - 1):
        what = singular(words[at + 1])
        if words[at] in wanted.of and (
            what in wanted.methods_said or (what in wanted.objects and not methods_only)
        ):
            return at + 2
    return 0
