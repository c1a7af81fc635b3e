"""Patterns from policies: regular expressions and globs, both on RE2 (linear time)."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, cast

MAX_PATTERN: Final = 4096
_MEMORY: Final = 1 << 20
_SIEVE_MEMORY: Final = 8 << 20
_ONLY_POTENTIAL: Final = True
_CACHE: Final = 1024
_SPECIAL: Final = frozenset("\\.+*?()|[]{}^$")


class PatternError(ValueError):
    """A pattern is too long, or RE2 does not accept it."""


class Match(Protocol):
    """A match in encoded text: offsets are in bytes."""

    def span(self) -> tuple[int, int]: ...

    def groupdict(self) -> dict[str, bytes | None]: ...


class _Regexp(Protocol):
    def search(self, text: bytes) -> object | None: ...

    def finditer(self, text: bytes) -> Iterator[Match]: ...


class _Options(Protocol):
    max_mem: int
    log_errors: bool
    never_capture: bool


class _Filter(Protocol):
    Add: Callable[[str, _Options], int]
    Compile: Callable[[], None]
    Match: Callable[[bytes, bool], list[int] | None]


class _Engine(Protocol):
    error: type[Exception]
    Options: Callable[[], _Options]
    Filter: Callable[[], _Filter]

    def compile(self, pattern: str, options: _Options) -> _Regexp: ...


def _engine() -> _Engine:
    """RE2, loaded on first use: most policies have no pattern, and the package has no types."""
    return cast("_Engine", importlib.import_module("re2"))


@functools.lru_cache(maxsize=_CACHE)
def compile_regex(pattern: str) -> Callable[[str], bool]:
    """Compile `pattern` for an unanchored search.

    The returned function raises `UnicodeEncodeError` on lone surrogates.

    Raises:
        PatternError: when the pattern is longer than 4096 characters, needs more than 1 MiB
            compiled, or is outside RE2's syntax (look-around, back references).
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError("pattern is longer than 4096 characters")
    engine = _engine()
    options = engine.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.never_capture = True
    try:
        search = engine.compile(pattern, options).search
    except engine.error as error:
        raise PatternError("pattern is not accepted by RE2") from error

    def found(text: str) -> bool:
        return search(text.encode()) is not None

    return found


def compile_finder(pattern: str, *, memory: int) -> Callable[[bytes], Iterator[Match]]:
    """Compile a pattern of our own, which may be long, to find every match in UTF-8 text.

    `memory` is in bytes. Linear in the text, also where RE2 runs out of it, which only makes it slower.

    Raises:
        PatternError: outside RE2's syntax, or larger than `memory` once compiled.
    """
    engine = _engine()
    options = engine.Options()
    options.max_mem = memory
    options.log_errors = False
    try:
        return engine.compile(pattern, options).finditer
    except engine.error as error:
        raise PatternError(f"pattern is not accepted by RE2: {error}") from error


def compile_sieve(patterns: Sequence[str]) -> Callable[[bytes], list[int]]:
    """Compile patterns of our own to tell which of them may match a text, by the words that each needs.

    What is returned gives their indices in order: of all that match, and of some that do not. It is one
    pass over the text, which takes a small part of what the patterns take, one by one or as one. The text
    is to be in lower case, in which all words are looked for.

    Raises:
        PatternError: for one outside RE2's syntax.
    """
    engine = _engine()
    words = engine.Filter()
    try:
        for pattern in patterns:
            options = engine.Options()
            options.max_mem = _SIEVE_MEMORY
            options.log_errors = False
            options.never_capture = True
            words.Add(pattern, options)
        words.Compile()
    except engine.error as error:
        raise PatternError(f"pattern is not accepted by RE2: {error}") from error
    return lambda text: sorted(words.Match(text, _ONLY_POTENTIAL) or ())


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """Compile a glob that must match the whole text.

    `*` any run of characters but `/`; `**` any run at all; `?` one character but `/`;
    `[abc]`, `[a-z]`, `[!a]` one character of a class, never `/`; a backslash takes the next character
    as it is. Letters compare exactly.

    Raises:
        PatternError: on an open class, an empty class or a trailing backslash.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError("pattern is longer than 4096 characters")
    return compile_regex(_translate(pattern))


def _translate(pattern: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            parts.append(r"(?s:.*)")
            at += 2
            continue
        if char == "[":
            body, at = _character_class(pattern, at)
            parts.append(body)
            continue
        if char == "\\":
            at += 1
            if at == len(pattern):
                raise PatternError("glob ends in a backslash")
            parts.append(_escaped(pattern[at]))
        else:
            parts.append({"*": r"[^/]*", "?": r"[^/]"}.get(char) or _escaped(char))
        at += 1
    return r"\A" + "".join(parts) + r"\z"


def _character_class(pattern: str, start: int) -> tuple[str, int]:
    """Translate the class that opens at `start`; returns it and the index after it."""
    at = start + 1
    negated = pattern.startswith(("!", "^"), at)
    at += negated
    end = pattern.find("]", at + 1)
    if end < 0:
        raise PatternError("glob has an open character class")
    body = pattern[at:end]
    if "/" in body or "[" in body or "\\" in body:
        raise PatternError("glob class holds `/`, `[` or a backslash")
    inner = "".join(_escaped(char) if char != "-" else "-" for char in body)
    if negated:
        return f"[^/{inner}]", end + 1
    return f"[{inner}]", end + 1


def _escaped(char: str) -> str:
    return "\\" + char if char in _SPECIAL or char == "-" else char
