"""Classified, and looked through for what works on its reader: all that is said of tools. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ostiary.registry.classification import (
    Category,
    Classification,
    Described,
    Finding,
    Sensitivity,
    Severity,
    Signal,
)
from ostiary.registry.classify import classify
from ostiary.registry.poisoning import findings
from ostiary.registry.work import MOST, within

NOT_JUDGED: Final = "not-judged"
"""The signal of a tool that was not judged."""


def judged(tools: Sequence[Described], most: int = MOST) -> tuple[Classification, ...]:
    """One classification for each tool, in order, with its findings.

    All tools that an agent sees together belong here: some findings are about one beside another.
    Of each server so much is judged as `most` allows (see `work`); of the tools after that nothing is
    known, and the worst is said.
    """
    fits = within(tools, most)
    read = [tool for tool, fit in zip(tools, fits, strict=True) if fit]
    known = (
        msgspec.structs.replace(one, findings=found)
        for one, found in zip(classify(read), findings(read), strict=True)
    )
    return tuple(next(known) if fit else _unjudged(tool, most) for tool, fit in zip(tools, fits, strict=True))


def was_judged(one: Classification) -> bool:
    """Whether a tool was judged; of one that was not, the worst is said."""
    return all(signal.code != NOT_JUDGED for signal in one.signals)


def _unjudged(tool: Described, most: int) -> Classification:
    reason = f"the tools of its server are more than is judged, {most:,} characters and values in all"
    return Classification(
        server=tool.server,
        name=tool.name,
        category=Category.UNKNOWN,
        sensitivity=Sensitivity.CREDENTIALS,
        severity=Severity.CRITICAL,
        score=5,
        signals=(Signal(NOT_JUDGED, f"Was not judged: {reason}", "name"),),
        owasp=(),
        confidence=0.0,
        evidence=(),
        findings=(
            Finding("unread", "name", "", f"{reason}; what this one says is not known", Severity.HIGH),
        ),
    )
