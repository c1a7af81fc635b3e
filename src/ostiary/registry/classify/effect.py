"""The effect of a tool: what its verbs do at worst, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

import msgspec

from ostiary.registry.change import printable
from ostiary.registry.classification import Category, Described, Evidence
from ostiary.registry.classify.finding import (
    ANY,
    Hit,
    in_choices,
    in_name,
    in_sentence,
    masked,
    own_words,
    verb_of,
    without_noun,
)
from ostiary.registry.classify.passthrough import any_request
from ostiary.registry.classify.reading import Argument
from ostiary.registry.classify.rules import Rules, Verb
from ostiary.registry.classify.words import MAX_TEXT, Words, sentences, singular, text_words

ORDER: Final = (
    Category.UNKNOWN, Category.READ, Category.WRITE,
    Category.EXECUTE, Category.DESTRUCTIVE, Category.FINANCIAL,
)  # fmt: skip
"""Mildest first."""

MAX_EVIDENCE: Final = 8
NEAR: Final = 6
"""Words after a verb among which its object is looked for."""

CLOSE: Final = 2
"""The same for objects that count only right behind the verb."""

_TRADES: Final = frozenset({"buy", "sell", "market", "limit", "stop"})
_TYPES: Final = frozenset({"string", "array", ""})

Said = list[tuple[Category, Evidence]]
"""What was found, each with the effect that it stands for."""


class Effect(msgspec.Struct, frozen=True):
    """A category with how sure it is and why."""

    category: Category
    confidence: float
    evidence: tuple[Evidence, ...]


def worst(categories: Sequence[Category]) -> Category:
    """The worst of them; Unknown without any."""
    return max(categories, key=ORDER.index, default=Category.UNKNOWN)


def effect_of(tool: Described, arguments: Sequence[Argument], rules: Rules) -> Effect:
    """What a call does at worst, as far as the definition says."""
    words = own_words(tool.name, tool.server, rules)
    told = [hit for sentence in _texts(tool) for hit in in_sentence(sentence, rules)]
    named = without_noun(list(in_name(words, "name", rules)), told, words, rules)
    text = " ".join(tool.description[:MAX_TEXT].lower().split())
    found = [_evidence(hit, _objected(hit, words, rules)) for hit in named]
    for one in arguments:
        if one.name.lower() in rules.grammar.selectors:
            found += [_evidence(hit, hit.verb.effect) for hit in in_choices(one, rules)]
    found += any_request(tool, arguments, named, words, rules)
    found += _from_text(named, told, _asked(tool, arguments, named, rules), rules)
    found += _irreversible(text, rules)
    found += _executing_arguments(found, arguments, rules)
    if not found:
        found += _fallback(tool, words, rules)
    return _summed(_calmed(found, text, rules), both=bool(named and told))


def _texts(tool: Described) -> Iterator[str]:
    """The sentences of the description; of the title where there are none."""
    yield from sentences(tool.description if tool.description.strip() else tool.title)


def _objected(hit: Hit, words: Words, rules: Rules) -> Category:
    """The effect of a verb of the name, with its object: whoever creates a refund moves money."""
    verb = hit.verb
    if verb.effect in {Category.DESTRUCTIVE, Category.FINANCIAL}:
        return verb.effect
    nouns = _nouns(tuple(word for word in words if word != hit.words))
    moves = verb.word in rules.movers
    money = nouns & (rules.money | rules.moved if moves else rules.money)
    if money and (moves or verb.effect is not Category.READ) and not nouns & rules.no_money:
        return Category.FINANCIAL
    return _paired(verb, nouns, nouns, rules)


def _nouns(words: Words) -> set[str]:
    return {singular(each) for word in words for each in word.strip("·").split("·")}


def _paired(verb: Verb, near: set[str], close: set[str], rules: Rules) -> Category:
    worse = [
        each.effect
        for each in rules.effects.pairs
        if verb.word in each.verbs and (close if each.close else near) & each.objects
    ]
    return worst([verb.effect, *worse])


def _asked(
    tool: Described, arguments: Sequence[Argument], named: Sequence[Hit], rules: Rules
) -> frozenset[str]:
    """The verbs by which a query of the name only asks: `find` makes `a find query` no code.

    No verb does where a query may be passed in as a text, which may say anything: by the name of an argument,
    by a word for such a text, or because nothing but texts is passed in.
    """
    texts = [one for one in arguments if not one.choices and one.kind in _TYPES]
    parts = _nouns(tuple(part for one in texts for part in one.words.split()))
    told = text_words(f"{tool.title} {tool.description[:MAX_TEXT]}")
    said = _nouns(tuple(part for word in told for part in re.split("[-_]", word)))
    only = texts and all(one.kind != "object" for one in arguments)
    if only or parts & (rules.grammar.query | rules.grammar.written) or said & rules.grammar.written:
        return frozenset()
    return frozenset(
        hit.words for hit in named if hit.verb.effect is Category.READ and hit.verb.strength == "strong"
    )


def _from_text(named: list[Hit], told: list[Hit], asked: frozenset[str], rules: Rules) -> Said:
    """What sentences say: all of it where the name has no verb, else only what is plainly worse."""
    concrete = [hit for hit in named if hit.verb.strength != "vague"]
    before = worst([hit.verb.effect for hit in concrete])
    strong = any(hit.verb.strength == "strong" for hit in concrete)
    found: Said = []
    for at, hit in enumerate(told):
        effect = _text_effect(hit, rules)
        if not concrete:
            counts = at == 0 or ORDER.index(effect) > ORDER.index(Category.READ)
        else:
            first = at == 0 or effect is Category.DESTRUCTIVE or not strong
            counts = effect is before or (first and _raises(hit, effect, before, asked, rules))
        if counts:
            found.append(_evidence(hit, effect))
    return found


def _raises(hit: Hit, effect: Category, before: Category, asked: frozenset[str], rules: Rules) -> bool:
    """Whether a sentence says plainly something worse than the verb of the name."""
    paired = effect is not hit.verb.effect
    if ORDER.index(effect) <= ORDER.index(before):
        return False
    if paired or effect is not Category.EXECUTE:
        return paired or hit.verb.strength == "strong"
    return _sets_going(hit, rules) or (hit.verb.strength == "strong" and _runs_code(hit, asked, rules))


def _runs_code(hit: Hit, asked: frozenset[str], rules: Rules) -> bool:
    near = hit.rest[:NEAR]
    plain = tuple(
        word
        for at, word in enumerate(near)
        if not (at and near[at - 1] in asked and singular(word) == "query")
    )
    return bool(_nouns(plain) & rules.grammar.code)


def _sets_going(hit: Hit, rules: Rules) -> bool:
    """Whether something begins that goes on by itself: its name stands before words like `with` and `by`."""
    begun = tuple(takewhile(lambda word: word not in rules.grammar.links, hit.rest[:NEAR]))
    return hit.verb.word in rules.grammar.starters and bool(_nouns(begun) & rules.grammar.running)


def _text_effect(hit: Hit, rules: Rules) -> Category:
    near = _nouns(hit.rest[:NEAR])
    trades = "order" in near and _TRADES & _nouns(hit.rest[: NEAR + 2])
    if hit.verb.word in rules.movers and not near & rules.no_money and (near & rules.moved or trades):
        return Category.FINANCIAL
    return _paired(hit.verb, near, _nouns(hit.rest[:CLOSE]), rules)


def _irreversible(text: str, rules: Rules) -> Said:
    """Wording that nothing else means, wherever it stands."""
    words = next((each for each in rules.effects.irreversible.words if each in text), None)
    if words is None:
        return []
    reason = rules.effects.irreversible.reason
    return [(Category.DESTRUCTIVE, Evidence(words, "description", reason, "irreversible"))]


def _executing_arguments(found: Said, arguments: Sequence[Argument], rules: Rules) -> Said:
    """A command line or code as an argument, where all else says Read or nothing."""
    now = worst([category for category, _ in found])
    if now not in {Category.READ, Category.UNKNOWN}:
        return []
    wanted = rules.grammar.code_arguments
    if now is Category.UNKNOWN:
        wanted |= rules.grammar.code_arguments_if_unknown
    taken = [one for one in arguments if one.words in wanted and not one.choices and one.kind in _TYPES]
    reason = "code or a command is passed in"
    return [
        (Category.EXECUTE, Evidence(printable(one.name[:64]), one.where, reason, "argument"))
        for one in taken[:1]
    ]


def _fallback(tool: Described, words: Words, rules: Rules) -> Said:
    """Where nothing leads: what the name is a noun for, then any verb of the sentences."""
    for word in reversed(words):
        nouns = rules.nouns.get(word)
        if nouns is not None:
            return [(nouns.effect, Evidence(word, "name", nouns.reason, "noun"))]
    scanned: Said = []
    for sentence in _texts(tool):
        for word in masked(text_words(sentence), rules):
            verb = verb_of(word, rules, ANY)
            if verb is not None and not verb.both:
                scanned.append(_evidence(Hit(verb, word, "description"), verb.effect, rule="mention"))
    return scanned


def _calmed(found: Said, text: str, rules: Rules) -> Said:
    """Running a query that the text bounds to reading is reading; a worse word anywhere ends that."""
    told = next((each for each in rules.effects.harmless.words if each in text), None)
    if told is None or worst([category for category, _ in found]) is not Category.EXECUTE:
        return found
    said = {*text_words(text)}
    if said & {*rules.effects.harmless.not_with} or not said & rules.grammar.query:
        return found
    calm = Evidence(told, "description", rules.effects.harmless.reason, "harmless")
    return [*[each for each in found if each[0] is not Category.EXECUTE], (Category.READ, calm)]


def _evidence(hit: Hit, effect: Category, *, rule: str = "") -> tuple[Category, Evidence]:
    words = printable(hit.words.strip("·").replace("·", " "))[:64]
    reason = hit.verb.reason if effect is hit.verb.effect else f"with its object the verb means {effect}"
    return effect, Evidence(words, hit.where, reason, rule or f"{hit.verb.strength}-verb")


def _summed(found: Said, *, both: bool) -> Effect:
    """The worst, and a confidence from how plainly and in how many places it is said."""
    category = worst([each for each, _ in found])
    deciding = [evidence for each, evidence in found if each is category]
    others = [evidence for each, evidence in found if each is not category]
    sure = 0.5 if found else 0.2
    sure += 0.2 * any(evidence.rule == "strong-verb" for evidence in deciding)
    sure += 0.1 * any(evidence.where == "name" for evidence in deciding)
    sure += 0.15 * (both and len({evidence.where for evidence in deciding}) > 1)
    sure -= 0.1 * bool(others)
    distinct = {(one.words, one.where): one for one in reversed([*deciding, *others])}
    return Effect(category, round(sure, 2), tuple(reversed(distinct.values()))[:MAX_EVIDENCE])
