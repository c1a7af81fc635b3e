"""What is wrong with a policy document, and where.

A diagnostic is data: `ostiary policy check` prints it, tools read it, tests compare it. Every code
is listed in `CODES`, so a code can be looked up and never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ostiary.errors import CallerFault

Severity = Literal["error", "warning"]

CODES: Mapping[str, str] = MappingProxyType(
    {
        # Text
        "too-large": "the file is larger than 1 MiB",
        "not-utf8": "the file is not UTF-8 text",
        "byte-order-mark": "the file begins with a byte order mark, which readers treat differently",
        "bad-character": "the file holds a character that readers disagree about",
        "bad-json": "the text is not JSON",
        "json-comment": "JSON has no comments",
        "trailing-text": "something follows the end of the document",
        "bad-yaml": "the text is not YAML",
        "yaml-anchor": "anchors and aliases are not read: one text must have one meaning",
        "yaml-merge": "merge keys are not read",
        "yaml-tag": "tags are not read: a value has the type that it is written as",
        "yaml-directive": "the only directive that is read is `%YAML 1.2`",
        "several-documents": "a file holds one document",
        "key-not-text": "keys are text",
        "duplicate-key": "a key stands twice in one mapping, and readers disagree about which one counts",
        "too-deep": "the document is nested more than 64 levels deep",
        "too-many-values": "the document holds more than 250,000 values",
        "not-a-number": "NaN and infinities are not numbers that a rule can compare",
        "wide-number": "a number that cannot be compared exactly with what the upstream will read",
        # Shape
        "empty-document": "the document says nothing, so it is never put in force",
        "unknown-version": "the only version is `1`",
        "mixed-formats": "one document uses the keys of two formats",
        "unknown-key": "the key has no meaning here, so whatever it asks for would not be enforced",
        "missing-key": "a key that is needed here is missing",
        "wrong-type": "the value has another type than the key takes",
        "bad-choice": "the value is not one of those that the key takes",
        "needs-later-version": "the key asks for something that this version cannot enforce",
        "exclusive-keys": "keys that exclude each other stand side by side",
        "idle-key": "the key has no effect where it stands",
        "monitor-refused": "monitor mode enforces nothing and must be switched on from outside as well",
        "too-many-rules": "the document holds more than 10,000 rules",
        "too-many-problems": "there are more problems than are listed",
        # Names
        "bad-name": "the name can never match a tool",
        "duplicate-entry": "the same entry stands twice in a list",
        "hidden-and-listed": "a hidden tool has rules, which are never reached",
        # Conditions
        "empty-conditions": "a requirement without conditions asks for nothing",
        "bad-condition": "a condition has exactly one form",
        "bad-path": "a path leads below `args`",
        "unknown-operator": "there is no such operator",
        "bad-value": "the operator does not take this value",
        "bad-pattern": "the pattern is not one that RE2 can run",
        "too-many-patterns": "the document holds more than 1,000 different patterns, which take memory",
        "bad-schema": "the schema cannot be used as a condition",
        # Limits
        "bad-window": "a window is `minute`, `hour`, `day` or a length such as `30s`",
        "out-of-range": "the number is outside what the key takes",
        "incomplete-limit": "a limit needs `window` and `max`, or `max_concurrent`",
        "duplicate-counter": "two limits of one tool would share a counter",
        "refund-on-error": "a call that fails on purpose runs for free",
        "argument-scope-alone": "the agent chooses the bucket, so it can always open a new one",
        # Approvals
        "bad-approver": "an approver is written as `user:` and a name without spaces",
        "approvers-bypassed": "the client's own user may answer in place of the approvers that are named",
        "timeout-before-hold": "a request that expires first leaves a call waiting for nothing",
        # Intercept
        "implied-default": "tools that are not listed are allowed because the document leaves `default` out",
        "uncounted-state": "a counter that no `lte` or `lt` of the same rule reads would never be counted",
        "foreign-counter": "a rule can only read the counter that it keeps itself",
        "shared-timeout": "requests of one tool share one time-out, and its rules name several",
        # Tests
        "unknown-variable": "a test names a variable that its `matrix` does not have",
        "matrix-too-large": "the tests make more calls, or larger ones, than can be tested",
        "unknown-server": "a test does not say, or not rightly, which server's policy it is about",
        # Against a server's tools
        "unknown-tool": "the server has no such tool",
        "unknown-argument": "the tool's schema has no such argument",
        "unusable-schema": "arguments cannot be checked against the tool's schema, so every call is denied",
    }
)
"""Every code, with one sentence on why it is a problem."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem. `line` and `column` count from 1; `hint` says what to do about it."""

    severity: Severity
    code: str
    message: str
    file: str
    line: int
    column: int
    hint: str | None = None

    def render(self) -> str:
        """`file:line:column: error: message`, with the hint on a line of its own."""
        head = f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} [{self.code}]"
        return head if self.hint is None else f"{head}\n  hint: {self.hint}"


class PolicyError(CallerFault):
    """A document that does not load. `diagnostics` holds every problem, warnings included."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        errors = [each for each in self.diagnostics if each.severity == "error"]
        first = errors[0] if errors else None
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        where = "" if first is None else f"{first.file}:{first.line}:{first.column}: {first.message}"
        super().__init__(f"{where}{more}", hint=None if first is None else first.hint)
