"""The rules, read from `registry/rules/*.toml` once."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec

from ostiary.registry.classification import Category, Severity
from ostiary.registry.classify.words import inflections, singular

Strength = Literal["strong", "weak", "vague"]


class Verbs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Verbs of one effect. `servers`: whose labels they were added for; without them plain English."""

    effect: Category
    strength: Strength
    reason: str
    words: tuple[str, ...]
    servers: tuple[str, ...] = ()


class Nouns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nouns that say what a tool does where no verb does."""

    effect: Category
    reason: str
    words: tuple[str, ...]


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words with one reason, and the words beside which they do not count."""

    words: tuple[str, ...]
    reason: str
    not_with: tuple[str, ...] = ()


class Transfers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Verbs that move money where money is their object."""

    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    reason: str


class Pairs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Verbs that do something worse to these objects; in a sentence only right behind them, if `close`."""

    effect: Category
    reason: str
    verbs: frozenset[str]
    objects: frozenset[str]
    close: bool = False


class Passthrough(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a tool looks that passes any request on, by its arguments and by its text."""

    reason: str
    methods: Mapping[str, Category]
    method: frozenset[str]
    address: frozenset[str]
    payload: frozenset[str]
    sends: frozenset[str]
    any: frozenset[str]
    every: frozenset[str]
    of: frozenset[str]
    objects: frozenset[str]
    methods_said: frozenset[str]


class Grammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How names and sentences are put together."""

    reason: str
    joins: frozenset[str]
    selectors: frozenset[str]
    before: frozenset[str]
    fillers: frozenset[str]
    code: frozenset[str]
    query: frozenset[str]
    starters: frozenset[str]
    running: frozenset[str]
    links: frozenset[str]
    finished: frozenset[str]
    written: frozenset[str]
    never_noun: frozenset[str]
    code_arguments: frozenset[str]
    code_arguments_if_unknown: frozenset[str]


class Effects(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`effects.toml`."""

    verbs: tuple[Verbs, ...]
    both: Listed
    phrases: Listed
    nouns: tuple[Nouns, ...]
    grammar: Grammar
    money: Listed
    transfers: Transfers
    pairs: tuple[Pairs, ...]
    passthrough: Passthrough
    harmless: Listed
    irreversible: Listed
    learned: tuple[Verbs, ...]


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of argument, by name and type."""

    code: str
    text: str
    reason: str
    names: frozenset[str]
    kinds: tuple[str, ...]
    last: tuple[str, ...] = ()
    risk: bool = False
    needs_effect: tuple[Category, ...] = ()


class NameWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words of a name that make a signal."""

    code: str
    text: str
    reason: str
    words: frozenset[str]
    where: tuple[str, ...]
    risk: bool = False
    not_on: tuple[Category, ...] = ()


class Many(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From how many arguments on it is worth saying."""

    code: str
    reason: str
    at_least: int


class Signals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`signals.toml`."""

    parameters: tuple[Parameter, ...]
    words: tuple[NameWords, ...]
    many_parameters: Many


class Delicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words by the sensitivity of what they name."""

    reason: str
    credentials: tuple[str, ...]
    financial: tuple[str, ...]
    personal: tuple[str, ...]
    public: tuple[str, ...]
    not_secret: tuple[str, ...]


class Grades(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points and letters, and the best letter where one tool or finding is as bad as that."""

    reason: str
    points: Mapping[str, int]
    finding: int
    letters: tuple[tuple[str, int], ...]
    at_best: Mapping[Severity, str]


class Severities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`severity.toml`."""

    base: Mapping[str, Severity]
    at_least: Mapping[str, Severity]
    sensitivity: Delicate
    owasp: Mapping[str, Mapping[str, tuple[str, ...]]]
    grade: Grades


class Verb(msgspec.Struct, frozen=True):
    """One form of one verb."""

    word: str
    effect: Category
    strength: Strength
    form: str
    both: bool
    reason: str


_FORM_FIRST: Final = {"base": 0, "third": 1, "gerund": 2}


class Rules:
    """Everything, indexed. `without`: the servers whose labels may not have helped."""

    def __init__(
        self, effects: Effects, signals: Signals, severities: Severities, *, without: str = ""
    ) -> None:
        self.effects = effects
        self.grammar = effects.grammar
        self.signals = signals
        self.severities = severities
        both = frozenset(effects.both.words)
        self.verbs: dict[str, Verb] = {}
        groups = (*effects.verbs, *(each for each in effects.learned if {*each.servers} - {without}))
        for spelled, verb in sorted(_forms(groups, both), key=lambda one: _FORM_FIRST[one[1].form]):
            self.verbs.setdefault(spelled, verb)
        self.nouns = {word: nouns for nouns in effects.nouns for word in nouns.words}
        self.phrases = _by_first(effects.phrases.words)
        self.money = frozenset(singular(each) for each in effects.money.words)
        self.no_money = frozenset(singular(each) for each in effects.money.not_with)
        self.movers = frozenset(effects.transfers.verbs)
        self.moved = frozenset(singular(each) for each in effects.transfers.objects)


def _forms(groups: Sequence[Verbs], both: frozenset[str]) -> Iterator[tuple[str, Verb]]:
    for group in groups:
        for word in group.words:
            for spelled, form in inflections(word).items():
                yield spelled, Verb(word, group.effect, group.strength, form, word in both, group.reason)


def _by_first(phrases: Sequence[str]) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for phrase in phrases:
        words = tuple(phrase.split())
        found.setdefault(words[0], []).append(words)
    return found


def _read(name: str) -> dict[str, object]:
    return tomllib.loads((files("ostiary.registry") / "rules" / name).read_text(encoding="utf-8"))


@cache
def load(without: str = "") -> Rules:
    """The rules, but for what was learned from the labels of the server `without` alone."""
    return Rules(
        msgspec.convert(_read("effects.toml"), Effects),
        msgspec.convert(_read("signals.toml"), Signals),
        msgspec.convert(_read("severity.toml"), Severities),
        without=without,
    )


def narrowed(rules: Rules, words: Collection[str]) -> Rules:
    """The rules without every verb that is not among `words` in any form: for measuring them."""
    known = {rules.verbs[word].word for word in words if word in rules.verbs}
    found = copy(rules)
    found.verbs = {form: verb for form, verb in rules.verbs.items() if verb.word in known}
    return found
