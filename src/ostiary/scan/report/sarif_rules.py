"""The rules of the SARIF report: what each means, and what to do. An id never changes its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from ostiary.registry.classification import Category
from ostiary.registry.poisoning.kinds import KINDS

_POISONED: Final = (
    "Such words stand in every conversation that has the tool. Do not connect the server before a person has "
    "read the definition. A server that is connected already needs a pin, so that it cannot change again."
)
_ABLE: Final = (
    "Give the tool a rule: deny or hide it where nobody needs it, ask a person, or bound its arguments."
)


class Rule(msgspec.Struct, frozen=True):
    """One rule. `harm` is from 0 to 10, as code scanning sorts by it; a result may be less severe."""

    id: str
    name: str
    what: str
    help: str
    harm: str
    tags: tuple[str, ...]


def _camel(word: str) -> str:
    return "".join(part.title() for part in word.split("-"))


def _rules() -> dict[str, Rule]:
    tools = {
        Category.WRITE: "the tool adds or changes something, with a risk",
        Category.EXECUTE: "the tool starts code, commands or processes, or moves a browser",
        Category.DESTRUCTIVE: "the tool takes something away that may not come back",
        Category.FINANCIAL: "the tool moves money, or commits somebody to pay",
        Category.READ: "the tool shows delicate data",
        Category.UNKNOWN: "the definition says nothing of what the tool does, and the rest is a risk",
    }
    found = [
        Rule(f"tool/{category.lower()}", f"{category}Tool", what, _ABLE, "6.0", ("security", "mcp"))
        for category, what in tools.items()
    ]
    found += [
        Rule(f"finding/{kind}", _camel(kind), what, _POISONED, "8.5", ("security", "mcp", "tool-poisoning"))
        for kind, what in KINDS.items()
    ]
    found += [
        Rule(
            "server/two-definitions",
            "TwoDefinitions",
            "a name stands in the server's list twice, with two definitions",
            "Nobody can say which of them is called. Ask whoever makes the server for another name.",
            "8.0",
            ("security", "mcp"),
        ),
        Rule(
            "server/not-scanned",
            "NotScanned",
            "the server could not be asked, so nothing is known of it",
            "See why it did not answer, and scan again. A server that is not known is no good server.",
            "5.0",
            ("mcp",),
        ),
    ]
    return {rule.id: rule for rule in found}


RULES: Final[Mapping[str, Rule]] = _rules()
"""By id, in the order of the report."""
