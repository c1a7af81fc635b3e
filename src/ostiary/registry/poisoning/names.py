"""Names of tools: what is no name, what only looks like one, and which are nearly the same."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ostiary.policy.twins import fold
from ostiary.registry.poisoning.plain import latin

MAX_NAME: Final = 128
"""The longest name that MCP (2025-11-25, "Tool Names") has."""

MAX_COMPARED: Final = 64
_NO_NAME: Final = re.compile(r"[(){}<>\"'`$\n\r;|&\\]|\$\{|\{\{")
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+")
_SAME: Final = str.maketrans("01|", "oll")
_SHORTEST: Final = 5
_SHORTEST_KNOWN: Final = 4
_LONG: Final = 8
_CROWD: Final = 12


def malformed(name: str) -> str:
    """Why it is no name; empty for one."""
    if not name.strip():
        return "the name is empty"
    if "${" in name or "{{" in name or "<%" in name:
        return "a template that nobody filled in"
    if "(" in name and ")" in name:
        return "a signature, not a name: whoever names the tool in a rule will miss it"
    if _NO_NAME.search(name):
        return "it holds characters that no name of a tool has"
    if len(name) > MAX_NAME:
        return f"it is longer than {MAX_NAME} characters"
    return ""


def mixed(name: str, confusables: Mapping[int, str]) -> bool:
    """Whether it has letters that look Latin and are not: beside Latin ones, or with no other."""
    if name.isascii():
        return False
    for word in re.findall(r"[^\W_]+", name):
        foreign = [char for char in word.casefold() if not char.isascii() and char.isalpha()]
        if not foreign:
            continue
        likes = [char for char in foreign if ord(char) in confusables or _dressed(char)]
        if likes and (len(foreign) < len(word) or len(likes) == len(foreign)):
            return True
    return False


def _dressed(char: str) -> bool:
    """A Latin letter in another dress: full width, mathematical, circled."""
    return unicodedata.normalize("NFKC", char).isascii()


def skeleton(name: str, confusables: Mapping[int, str]) -> str:
    """What a name looks like at a glance: look-alikes become one, marks between words go."""
    folded = latin(fold(name[: MAX_NAME * 2]), confusables).translate(_SAME)
    return re.sub(r"[\W_]", "", folded).replace("rn", "m").replace("vv", "w").replace("i", "l")


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: of `send_Email2` they are send, email and 2."""
    return [word.lower() for word in _WORDS.findall(name[: MAX_NAME * 2])]


def slip(one: str, other: str, shortest: int = _SHORTEST) -> bool:
    """Whether the names differ by a slip of one letter in one long word, as a typing error would.

    Plurals, forms of a verb and numbers are what honest names differ by.
    """
    return _by_a_slip(words_of(one), words_of(other), shortest)


def _by_a_slip(first: list[str], second: list[str], shortest: int) -> bool:
    if len(first) != len(second) or first == second:
        return False
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    return len(pairs) == 1 and _slipped(*pairs[0], shortest)


def _slipped(one: str, other: str, shortest: int) -> bool:
    if len(one) < len(other):
        one, other = other, one
    if len(other) < shortest - (len(one) != len(other)) or not (one.isalpha() and other.isalpha()):
        return False
    if len(one) == len(other):
        apart = [at for at in range(len(one)) if one[at] != other[at]]
        if len(apart) == 2 and apart[1] == apart[0] + 1:  # noqa: PLR2004 - two neighbours
            return one[apart[0]] == other[apart[1]] and one[apart[1]] == other[apart[0]]
        return len(apart) == 1 and len(one) >= _LONG and 0 < apart[0] < len(one) - 1
    at = next((at for at in range(len(other)) if one[at] != other[at]), len(other))
    if at >= len(other) - 1 and one[-1] in "sdrey":
        return False
    return at > 0 and one[:at] + one[at + 1 :] == other


def near(names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of different names that differ by a slip. Linear in their number: crowds are cut short."""
    buckets: defaultdict[str, list[int]] = defaultdict(list)
    words = [words_of(name) for name in names]
    for index, own in enumerate(words):
        flat = "".join(own)[:MAX_COMPARED]
        # In this order and not in that of a set: which of two is told must not depend on the process.
        for key in dict.fromkeys((flat, *(flat[:at] + flat[at + 1 :] for at in range(len(flat))))):
            if len(buckets[key]) < _CROWD:
                buckets[key].append(index)
    seen: set[tuple[int, int]] = set()
    for crowd in buckets.values():
        for at, one in enumerate(crowd):
            for other in crowd[at + 1 :]:
                if (one, other) not in seen:
                    seen.add((one, other))
                    if _by_a_slip(words[one], words[other], _SHORTEST):
                        yield one, other


class Known(NamedTuple):
    """A name that many servers have, with what it is compared by."""

    name: str
    flat: str
    shape: str
    words: list[str]


def known_names(names: Iterable[str], confusables: Mapping[int, str]) -> tuple[Known, ...]:
    """The names, taken apart once for all tools that are compared with them."""
    return tuple(
        Known(each, each.replace("_", ""), skeleton(each, confusables), words_of(each)) for each in names
    )


def imitated(name: str, known: Iterable[Known], confusables: Mapping[int, str]) -> str:
    """The well-known name that `name` is nearly, and is not; empty where there is none."""
    if len(name) > MAX_COMPARED:
        return ""
    folded = re.sub(r"[\W_]", "", fold(name))
    shape, words = skeleton(name, confusables), words_of(name)
    for each in known:
        if folded == each.flat:
            return ""
        if shape == each.shape or _by_a_slip(words, each.words, _SHORTEST_KNOWN):
            return each.name
    return ""
