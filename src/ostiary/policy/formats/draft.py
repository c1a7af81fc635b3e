"""What is gathered while one document is read: problems, places, and what it turned out to use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ostiary.policy.diagnostic import Diagnostic, Severity
from ostiary.policy.model import Place
from ostiary.policy.source import Located, shown

MAX_RULES = 10_000
MAX_PATTERNS = 1_000
MAX_PROBLEMS = 200
_LONGEST_GUESS = 64


class Draft:
    """One document being read. Nothing is raised: every problem becomes a diagnostic.

    `extended` is True once a key, operator or value is used that format 1 does not have.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.diagnostics: list[Diagnostic] = []
        self.places: dict[str, Place] = {}
        self.extended = False
        self.failed = False
        self._rules = 0
        self._patterns: set[str] = set()

    def error(self, code: str, message: str, at: Located, hint: str | None = None) -> None:
        """Record what keeps the document from loading."""
        self.failed = True
        self._add("error", code, message, at, hint)

    def warn(self, code: str, message: str, at: Located, hint: str | None = None) -> None:
        """Record what loads and may surprise its author."""
        self._add("warning", code, message, at, hint)

    def _add(self, severity: Severity, code: str, message: str, at: Located, hint: str | None) -> None:
        if self.full:
            return
        if len(self.diagnostics) == MAX_PROBLEMS:
            severity, code, message, hint = "error", "too-many-problems", "more problems follow", None
            self.failed = True
        self.diagnostics.append(Diagnostic(severity, code, message, self.file, at.line, at.column, hint))

    @property
    def full(self) -> bool:
        """Whether further problems are no longer listed, so that looking for hints is in vain."""
        return len(self.diagnostics) > MAX_PROBLEMS

    def place(self, pointer: str, at: Located) -> str:
        """Remember where `pointer` stands; returns it."""
        self.places[pointer] = Place(self.file, at.line, at.column)
        return pointer

    def rule(self, pointer: str, at: Located) -> str:
        """Like `place`, and counts one rule towards the bound (P1.7)."""
        self._rules += 1
        if self._rules == MAX_RULES + 1:
            self.error("too-many-rules", f"more than {MAX_RULES:,} rules", at)
        return self.place(pointer, at)

    def pattern(self, text: str, at: Located) -> bool:
        """Count one pattern towards the bound: a compiled one may take a megabyte, and time to compile."""
        if text not in self._patterns and len(self._patterns) == MAX_PATTERNS:
            self.error("too-many-patterns", f"more than {MAX_PATTERNS:,} different patterns", at)
            return False
        self._patterns.add(text)
        return True


def child(pointer: str, key: str | int) -> str:
    """The JSON pointer of `key` below `pointer` (RFC 6901)."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def near(word: str, options: Iterable[str]) -> str | None:
    """A hint that names the option that `word` was probably meant to be, or None."""
    if len(word) > _LONGEST_GUESS:
        return None
    by_folded = {option.lower(): option for option in options}
    found = difflib.get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return f"did you mean {shown(by_folded[found[0]])}" if found else None
