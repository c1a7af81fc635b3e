"""What all reports say alike: worst first, counted, and in the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec

from ostiary.registry.change import excerpt, printable, valued
from ostiary.registry.classification import (
    Category,
    Classification,
    Described,
    Evidence,
    Finding,
    Grade,
    Severity,
)
from ostiary.registry.classify.reading import arguments
from ostiary.registry.recommended import Choice, Recommended, recommend
from ostiary.scan.examined import Examined, brief
from ostiary.scan.scanned import Scanned, Target
from ostiary.wire.message import as_object

SEVERITIES: Final = tuple(Severity)
"""From harmless to worst."""
REMARKS: Final = frozenset(
    {
        "long-description", "many-parameters", "no-annotations", "no-bounds", "no-description",
        "no-schema", "open-world", "weak-types",
    }
)  # fmt: skip
"""Signals that most tools have. A reader who looks for the worst does not need them."""
_BOUNDS: Final = (
    "enum", "const", "minimum", "maximum", "minLength", "maxLength", "pattern", "format", "minItems",
    "maxItems",
)  # fmt: skip
WINDOW: Final = 200_000
"""Tokens of a context window that shares are told of."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that a report is made of. `when` is the time in UTC as RFC 3339, empty to leave it out."""

    servers: tuple[Examined, ...]
    version: str
    when: str = ""

    @property
    def asked(self) -> tuple[Examined, ...]:
        """The servers that told their tools."""
        return tuple(one for one in self.servers if one.scanned.found is not None)

    @property
    def missed(self) -> tuple[Examined, ...]:
        """The servers that could not be asked."""
        return tuple(one for one in self.servers if one.scanned.found is None)


class Tool(msgspec.Struct, frozen=True):
    """One tool with all that is known of it, and what the recommended policy does with it.

    `digest` is of its whole definition.
    """

    told: Described
    known: Classification
    digest: str
    choice: Choice


class Fact(msgspec.Struct, frozen=True):
    """What a schema says of one argument, printable. `name` is a path for one of an inner object."""

    name: str
    kind: str
    required: bool
    bounds: str
    about: str


def policy_of(one: Examined) -> Recommended:
    """The policy that is recommended for a server; for one that was not asked, one that denies all."""
    return recommend(one.name, one.scanned.found.tools if one.scanned.found else (), one.judged)


def worst_first(one: Examined, policy: Recommended | None = None) -> tuple[Tool, ...]:
    """The tools of a server: what works on its reader first, then by severity, score and name.

    `policy` is what `policy_of` says of the server, for who has asked already.
    """
    digests = [tool.digest for tool in one.scanned.found.tools] if one.scanned.found else []
    choices = (policy or policy_of(one)).choices
    tools = [Tool(*each) for each in zip(one.tools, one.judged, digests, choices, strict=True)]
    return tuple(sorted(tools, key=_badness))


def by_severity(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Worst first; otherwise in their order."""
    return tuple(sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity)))


def arguments_of(tool: Described) -> tuple[Fact, ...]:
    """The arguments that the input schema names, those of inner objects after their own."""
    required = (as_object(tool.input_schema) or {}).get("required")
    names = cast("list[object]", required) if isinstance(required, list) else []
    facts: list[Fact] = []
    for each in arguments(tool.input_schema):
        path = each.where.removeprefix("inputSchema.properties.")
        about = each.schema.get("description")
        bounds = [f"{key} {valued(each.schema[key])}" for key in _BOUNDS if key in each.schema]
        facts.append(
            Fact(
                name=path,
                kind=printable(each.kind) or "any",
                required=each.name in names and "." not in path,
                bounds=", ".join(bounds),
                about=excerpt(about) if isinstance(about, str) else "",
            )
        )
    return tuple(facts)


def _badness(tool: Tool) -> tuple[int, int, int, int, str]:
    known = tool.known
    found = max((SEVERITIES.index(each.severity) for each in known.findings), default=-1)
    return (-found, -SEVERITIES.index(known.severity), -known.score, -len(known.signals), known.name)


def reasons(known: Classification) -> tuple[tuple[str, tuple[Evidence, ...]], ...]:
    """Why a tool is in its category: each reason once, with the words that led to it."""
    found: dict[str, list[Evidence]] = {}
    for each in known.evidence:
        found.setdefault(each.reason, []).append(each)
    return tuple((reason, tuple(words)) for reason, words in found.items())


def categories(one: Examined) -> tuple[tuple[Category, int], ...]:
    """How many tools of each category there are, worst category last; none that is missing."""
    counted = Counter(known.category for known in one.judged)
    return tuple((category, counted[category]) for category in Category if counted[category])


def severities(one: Examined) -> tuple[tuple[Severity, int], ...]:
    """How many tools of each severity there are, worst first; none that is missing."""
    counted = Counter(known.severity for known in one.judged)
    return tuple((each, counted[each]) for each in reversed(SEVERITIES) if counted[each])


def findings(one: Examined) -> int:
    """How much was found in the definitions of a server, and in its texts beside them."""
    return len(one.findings) + sum(len(known.findings) for known in one.judged)


def sum_of(grade: Grade) -> str:
    """The points of a grade, what they are made of, and what makes the letter worse than they do."""
    parts = " + ".join(f"{what} ({points})" for what, points in grade.parts)
    bound = f"; {grade.bound}" if grade.bound else ""
    return f"{count(grade.points, 'point')}: {parts}{bound}" if parts else "0 points"


def count(number: int, word: str) -> str:
    """A number with its word, `1 tool` or `2 tools`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def share(tokens: int) -> str:
    """Tokens as a share of a context window."""
    return f"{tokens / WINDOW:.1%} of a window of {WINDOW:,}"


def short(name: str) -> str:
    """A name that a server or a configuration gave, printable and not too long."""
    return printable(brief(name))


def surroundings(one: Scanned) -> str:
    """What stood around a server while it was asked, as a sentence."""
    if one.network == "remote":
        return "It runs elsewhere: what it can reach there is not known."
    if not one.isolated:
        return "It ran WITHOUT walls: it could do whatever this user can."
    reach = {
        "none": "without a network",
        "hosts": "and could reach only the hosts that were allowed",
        "all": "with the whole network",
    }
    return f"It ran behind walls, {reach[one.network]}."


def way(target: Target) -> str:
    """How a server is reached, without what may be secret: its program's name, or its host."""
    if target.transport == "stdio":
        program = PurePosixPath(target.command[0]).name if target.command else ""
        return f"program {short(program) or '?'}"
    try:
        parts = urlsplit(target.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{short(parts.scheme)}://{short(parts.hostname or '?')}{port}"
    except ValueError:
        return "an address that cannot be read"


def place(target: Target) -> str:
    """Where a server is named: the client and its file, or the command line."""
    where = printable(target.source) or "the command line"
    return f"{where} ({printable(target.client)})" if target.client else where


def spoken(one: Scanned) -> str:
    """Who a server says that it is, and what it speaks."""
    if one.found is None:
        return ""
    about = " ".join(part for part in (one.found.server.name, one.found.server.version) if part)
    name = f"calls itself {short(about)}, " if about else ""
    return f"{name}speaks revision {printable(one.found.revision)}"


def besides(one: Scanned) -> str:
    """What a server offers beside its tools, in numbers; empty for nothing."""
    found = one.found
    if found is None:
        return ""
    kinds = (
        (len(found.resources), "resource"),
        (len(found.templates), "template"),
        (len(found.prompts), "prompt"),
    )
    return ", ".join(count(number, word) for number, word in kinds if number)
