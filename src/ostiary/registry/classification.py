"""What a tool can do to its user, as the classifier says it: the vocabulary of scans and reports. Pure.

A classification is worked out from a tool's definition alone, by rules that are data, and the same
definition always has the same one. All text of a definition is hostile; whoever shows it escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec


class Category(StrEnum):
    """What a call does, by its worst effect. `UNKNOWN` where nothing in the definition says."""

    READ = "Read"
    WRITE = "Write"
    EXECUTE = "Execute"
    DESTRUCTIVE = "Destructive"
    FINANCIAL = "Financial"
    UNKNOWN = "Unknown"


class Severity(StrEnum):
    """How bad it is when the call should not have been made."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


class Sensitivity(StrEnum):
    """The most delicate data that a call can show or take, whatever it does with it."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PERSONAL = "personal"
    FINANCIAL = "financial"
    CREDENTIALS = "credentials"


class Described(msgspec.Struct, frozen=True):
    """A tool definition as its server gives it, parsed. Schemas are any JSON value, None where missing.

    `icons` and `meta` are the members `icons` and `_meta`, which clients hand on as well.
    """

    name: str
    server: str = ""
    title: str = ""
    description: str = ""
    input_schema: object | None = None
    output_schema: object | None = None
    annotations: Mapping[str, object] = msgspec.field(default_factory=dict[str, object])
    icons: object | None = None
    meta: object | None = None


class Signal(msgspec.Struct, frozen=True):
    """Something that makes a tool worth a rule. `code` is stable; `where` is a path into the definition."""

    code: str
    text: str
    where: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """Words of the definition that a rule went by: which, where they stand, and why they count."""

    words: str
    where: str
    reason: str
    rule: str


class Finding(msgspec.Struct, frozen=True):
    """Something in a definition that works on the reader instead of describing the tool (poisoning).

    `excerpt` is printable and short. `kind` is stable, as `hidden-instruction`.
    """

    kind: str
    where: str
    excerpt: str
    reason: str
    severity: Severity


class Classification(msgspec.Struct, frozen=True):
    """What one tool can do. `score` is 1 (harmless) to 5, `confidence` 0 to 1."""

    server: str
    name: str
    category: Category
    sensitivity: Sensitivity
    severity: Severity
    score: int
    signals: tuple[Signal, ...]
    owasp: tuple[str, ...]
    confidence: float
    evidence: tuple[Evidence, ...]
    findings: tuple[Finding, ...] = ()


class Grade(msgspec.Struct, frozen=True):
    """A server's grade, A to F, and the sum it comes from: what counts, and how many points each.

    `bound` says why the letter is worse than the sum alone would make it; empty where it is not.
    """

    letter: str
    points: int
    parts: tuple[tuple[str, int], ...]
    bound: str = ""


Classified = Sequence[Classification]
"""One for each tool, in the order of the tools."""
