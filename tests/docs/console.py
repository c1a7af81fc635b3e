"""Runs what a page tells a reader to type, and compares what comes back with what the page shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.markdown import Fence, fences

BOUND = 60
"""Seconds one command may take: each starts an interpreter, and eleven calls are one command."""

_VARIABLE = [
    (re.compile(r"ev_[0-9A-Z]{26}"), "EVALUATION"),
    (re.compile(r"apr_[0-9A-Z]{26}"), "APPROVAL"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "TIME"),
    (re.compile(r" *\b\d+ (m \d+ s|min|s)\b"), " DURATION"),
    (re.compile(r"/\S*/keys/approver"), "KEY"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "SHA256"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r'"day_of_week": "\w+", "is_dst": \w+'), "DAY"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"/\S*/token"), "TOKEN"),
    (re.compile(r"try again in \d+ s"), "try again in N s"),
    (re.compile(r"/\S*/\.claude/"), "CLAUDE/"),
    (re.compile(r"(?<=\bon )\d{4}-\d\d-\d\d\b"), "DAY"),
    (re.compile(r"\d+ rows? in 1 chain, \d+ signed checkpoints?"), "ROWS"),
]


@dataclass(frozen=True)
class Typed:
    """One command of a page and what the page says comes back. `line` is where its block begins."""

    page: Path
    line: int
    command: str
    shown: str


def typed(page: Path, *chosen: Fence) -> Iterator[Typed]:
    """Every command of the `console` blocks of `page`, or of those `chosen`, in order."""
    for fence in chosen or fences(page):
        if fence.label != "console":
            continue
        before, *parts = re.split(r"^\$ ", fence.text, flags=re.MULTILINE)
        assert before == "", f"{fence.id}: output before the first command"
        for part in parts:
            command, _, shown = part.partition("\n")
            yield Typed(page, fence.line, command, shown)


def run(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What a terminal shows: both outputs, in the order in which they were written."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=BOUND, check=False,
    )  # fmt: skip
    return done.stdout


def normal(text: str) -> str:
    """`text` without what differs from one run to the next."""
    for pattern, name in _VARIABLE:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


def agrees(shown: str, came: str) -> bool:
    """Whether `came` is what the page shows; a line `…` on the page stands for any lines, or none."""
    lines = [r"(?:\n.*)*" if line == "…" else "\n" + re.escape(line) for line in normal(shown).split("\n")]
    pattern = "".join(lines).removeprefix("\n")
    return re.fullmatch(pattern, normal(came)) is not None
