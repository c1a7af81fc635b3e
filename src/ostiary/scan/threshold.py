"""When a scan is a failure: the words of `--fail-on`, and the tools that come up to them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from enum import StrEnum

from ostiary.errors import CallerFault
from ostiary.registry.change import named
from ostiary.registry.classification import Severity
from ostiary.scan.examined import Examined

BESIDE = "texts beside its tools"


class Threshold(StrEnum):
    """A severity, which counts for tools and for findings; or any finding at all."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
    POISONED = "poisoned"


def threshold(word: str) -> Threshold:
    """The threshold that a person named, in whatever case. Raises CallerFault for another word."""
    words = [each.value for each in Threshold]
    meant = word.strip().lower()
    if meant in words:
        return Threshold(meant)
    near = get_close_matches(meant, words, n=1)
    hint = f"did you mean `{near[0]}`" if near else ", ".join(words[:-1]) + f" or {words[-1]}"
    raise CallerFault(f"--fail-on: {named(word)} is none", hint=hint)


def reaching(examined: Sequence[Examined], least: Threshold) -> Iterator[tuple[str, str]]:
    """Server and tool of everything at or above the threshold.

    `BESIDE` stands for what was found in a server's texts beside its tools.
    A name with two definitions in one list counts as a finding that is High.
    """
    order = [each.value.lower() for each in Severity]
    floor = order.index(least.value) if least is not Threshold.POISONED else len(order)
    for one in examined:
        told = [order.index(each.severity.lower()) for each in one.findings]
        if told and (least is Threshold.POISONED or max(told) >= floor):
            yield one.name, BESIDE
        for known in one.judged:
            found = [order.index(each.severity.lower()) for each in known.findings]
            if known.name in one.ambiguous:
                found.append(order.index(Severity.HIGH.lower()))
            if max([order.index(known.severity.lower()), *found]) >= floor or (
                least is Threshold.POISONED and found
            ):
                yield one.name, known.name
