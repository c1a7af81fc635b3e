"""The verbs of a definition: which stand in its name, lead its sentences, or are listed as actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ostiary.registry.classification import Category
from ostiary.registry.classify.reading import Argument
from ostiary.registry.classify.rules import Rules, Verb
from ostiary.registry.classify.words import Words, name_words, singular, text_words

BASE: Final = ("base",)
ANY: Final = ("base", "third", "gerund")
LEAD: Final = 8
"""Words of a sentence within which its verb stands."""

JOINED: Final = 60
"""Words of a sentence within which a second verb is looked for."""

_ARTICLES: Final = frozenset({"a", "an", "the"})
_PROVIDE: Final = frozenset({"use", "used", "provides", "provide"})
_PLURAL: Final = frozenset({"get", "list", "read", "show", "fetch"})


class Hit(msgspec.Struct, frozen=True):
    """A verb where it stands, with the words around (in a name) or after it (in a sentence)."""

    verb: Verb
    words: str
    where: str
    rest: Words = ()


def verb_of(word: str, rules: Rules, forms: tuple[str, ...] = BASE) -> Verb | None:
    """The verb that a word is, in one of the forms."""
    found = rules.verbs.get(word)
    return found if found is not None and found.form in forms else None


def own_words(name: str, server: str, rules: Rules) -> Words:
    """The words of a name, without its server's at the front: `slack_post_message`."""
    words, prefix = name_words(name), name_words(server)
    for length in range(len(prefix), 0, -1):
        if words[:length] == prefix[:length] and len(words) > length:
            words = words[length:]
            break
    return masked(words, rules)


def masked(words: Words, rules: Rules) -> Words:
    """The words, of which those that only together are a noun became one, and no verb any more."""
    found: list[str] = []
    at = 0
    while at < len(words):
        size = max(
            (len(one) for one in rules.phrases.get(words[at], ()) if _stands(one, words, at)), default=0
        )
        found.append("·" + "·".join(words[at : at + size]) if size else words[at])
        at += max(size, 1)
    return tuple(found)


def _stands(phrase: Words, words: Words, at: int) -> bool:
    there = tuple(singular(each) for each in words[at : at + len(phrase)])
    return there in {phrase, tuple(singular(each) for each in phrase)}


def in_name(words: Words, where: str, rules: Rules) -> Iterator[Hit]:
    """The verbs of a name: at its head and after `and` and `or`; without a head, at its end and within."""
    lead = 0
    first = verb_of(words[0], rules, ANY) if words else None
    while first is None and lead < len(words) - 1 and words[lead] in rules.grammar.before:
        lead += 1
        first = verb_of(words[lead], rules)
    tail = verb_of(words[-1], rules) if len(words) > lead + 1 else None
    if first is None or (first.both and first.form != "base" and tail is not None):
        yield from _behind(words, where, tail, rules)
        return
    yield Hit(first, words[lead], where, words[lead + 1 :])
    for at in range(lead + 1, len(words) - 1):
        joined = verb_of(words[at + 1], rules) if words[at] in rules.grammar.joins else None
        if joined is not None:
            yield Hit(joined, words[at + 1], where, words[at + 2 :])
    if tail is not None and first.both and not tail.both:
        yield Hit(tail, words[-1], where, words[lead:-1])


def _behind(words: Words, where: str, tail: Verb | None, rules: Rules) -> Iterator[Hit]:
    """Verbs of a name that begins with a noun: `pods_delete`, `actions_run_trigger`."""
    last = None if tail is not None and tail.strength == "vague" and tail.both else tail
    if last is not None:
        yield Hit(last, words[-1], where, words[:-1])
    for at in range(1, len(words) - 1):
        inner = verb_of(words[at], rules)
        if inner is None or inner.strength == "vague":
            continue
        mild = inner.both and inner.effect in {Category.READ, Category.WRITE}
        alone = last is None or last.both or words[at + 1] in rules.grammar.joins
        if not mild and (alone or inner.strength == "strong"):
            yield Hit(inner, words[at], where, words[at + 1 :])


def without_noun(named: list[Hit], told: Sequence[Hit], words: Words, rules: Rules) -> list[Hit]:
    """The verbs of a name without its head, where that is a noun: `refund_eligibility`, `charge_list`."""
    head = named[0] if named else None
    if head is None or not head.verb.both or head.verb.effect is Category.READ or head.words != words[0]:
        return named
    asks = bool(told) and all(hit.verb.effect is Category.READ for hit in told)
    if len(words) == 1:
        return [] if asks and told[0].verb.strength == "strong" else named
    nouns = rules.nouns.get(words[-1])
    shows = nouns is not None and nouns.effect is Category.READ
    if shows and head.verb.strength != "vague" and head.words not in rules.grammar.never_noun:
        return named[1:] if asks or not told else named
    return named[1:] if asks and words[-1] in _PLURAL else named


def in_choices(argument: Argument, rules: Rules) -> Iterator[Hit]:
    """The verbs of the actions that an argument lists."""
    listed = [name_words(choice) for choice in argument.choices]
    states = [words for words in listed if _is_state(words, rules)]
    filters = _lists_states(listed, rules)
    for words in listed:
        told = filters and words in states
        for hit in in_name(masked(words, rules), f"{argument.where}.enum", rules):
            if not told or _is_order(hit.verb, rules):
                yield hit


def _lists_states(listed: Sequence[Words], rules: Rules) -> bool:
    """Whether values are what was done and not what to do, as those of a filter are: `build_failed`.

    Most of them have to be that and can be nothing else, and none may be a plain order.
    """
    heads = [verb_of(words[0], rules) if words else None for words in listed]
    sure = sum(head is None and _is_state(words, rules) for head, words in zip(heads, listed, strict=True))
    return sure * 2 >= len(listed) and all(head is None or head.both for head in heads)


def _is_order(verb: Verb, rules: Rules) -> bool:
    """Whether a verb counts whatever else is listed: that of `drop_unused`, not that of `build_failed`."""
    runs = verb.effect is Category.EXECUTE and verb.word not in rules.grammar.finished
    return runs or verb.effect in {Category.DESTRUCTIVE, Category.FINANCIAL}


def _is_state(words: Words, rules: Rules) -> bool:
    return bool(words) and words[-1].endswith("ed") and verb_of(words[-1], rules) is None


def in_sentence(sentence: str, rules: Rules) -> Iterator[Hit]:
    """The verb with which a sentence begins, and those joined to it."""
    words = masked(text_words(sentence), rules)
    at = _lead(words, rules)
    first = verb_of(words[at], rules, ANY) if at is not None else None
    if at is None or first is None:
        return
    yield Hit(first, words[at], "description", words[at + 1 :])
    near = True
    for each in range(at + 1, min(len(words) - 1, JOINED)):
        near = near and (words[each] in rules.grammar.joins or words[each] in rules.verbs)
        joined = (
            verb_of(words[each + 1], rules, (first.form,)) if words[each] in rules.grammar.joins else None
        )
        if joined is not None and (near or _grave(joined)):
            yield Hit(joined, words[each + 1], "description", words[each + 2 :])


def _grave(verb: Verb) -> bool:
    """Whether a verb counts wherever it is joined to the first one, also after its object."""
    return verb.effect is Category.FINANCIAL if verb.both else verb.effect is Category.DESTRUCTIVE


def _lead(words: Words, rules: Rules) -> int | None:
    """Where the first verb stands, after words like `this tool allows you to`; None without one."""
    for at, word in enumerate(words[:LEAD]):
        verb = verb_of(word, rules, ANY)
        if word in rules.grammar.fillers and (verb is None or word in _PROVIDE):
            continue
        if verb is not None:
            # `An empty list means …`: behind the article that begins a sentence it is no verb.
            return None if verb.both and at == 1 and words[0] in _ARTICLES else at
        if not word.endswith("ly"):
            return None
    return None
