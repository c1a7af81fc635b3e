"""Classified, and looked through for what works on its reader: all that is said of tools. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ostiary.registry.classification import Classification, Described
from ostiary.registry.classify import classify
from ostiary.registry.poisoning import findings


def judged(tools: Sequence[Described]) -> tuple[Classification, ...]:
    """One classification for each tool, in order, with its findings.

    All tools that an agent sees together belong here: some findings are about one beside another.
    """
    return tuple(
        msgspec.structs.replace(known, findings=found)
        for known, found in zip(classify(tools), findings(tools), strict=True)
    )
