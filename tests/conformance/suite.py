"""Runs the official conformance suite, and compares two of its runs check by check.

The suite writes `checks.json` for each scenario: a list of checks with an id, a name and a status.
One id may occur several times; the worst counts. A check that only informs, that was skipped and
that did not appear are one thing here: nothing was judged.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from tests.needs import needs_npm_program
from tests.tools.node import environment

REVISIONS = ("2025-11-25", "2026-07-28")
"""The requirement sets that the suite has."""

Verdict = Literal["failed", "warned", "not judged", "passed"]
ORDER: tuple[Verdict, ...] = ("failed", "warned", "not judged", "passed")
_OF_STATUS: Mapping[str, Verdict] = {"FAILURE": "failed", "WARNING": "warned", "SUCCESS": "passed"}
_WORST_FIRST: tuple[Verdict, ...] = ("failed", "warned", "passed", "not judged")


class Check(NamedTuple):
    """One check. `id` is what the suite prints, `name` tells apart checks that share an id."""

    scenario: str
    id: str
    name: str

    @property
    def key(self) -> str:
        """How lists of named differences call it."""
        return f"{self.scenario}/{self.id}"


@dataclass
class Outcome:
    """How one check ended, and what the suite said of it."""

    verdict: Verdict = "not judged"
    details: str = ""


@dataclass
class Results:
    """One run of the suite."""

    checks: dict[Check, Outcome] = field(default_factory=dict)

    def of(self, check: Check) -> Outcome:
        return self.checks.get(check, Outcome())

    def count(self, verdict: Verdict) -> int:
        return sum(one.verdict == verdict for one in self.checks.values())


class Difference(NamedTuple):
    """A check that ended otherwise through the gate."""

    check: Check
    direct: Outcome
    through: Outcome

    @property
    def lost(self) -> bool:
        return ORDER.index(self.through.verdict) < ORDER.index(self.direct.verdict)

    @property
    def change(self) -> str:
        return f"{self.direct.verdict} -> {self.through.verdict}"

    def __str__(self) -> str:
        said = self.through.details or self.direct.details
        return f"{self.check.key} ({self.check.name}): {self.change}: {said}"


def read(folder: Path) -> Results:
    """The results that the suite left in `folder`."""
    found = Results()
    for file in sorted(folder.glob("*/checks.json")):
        scenario = _scenario(file.parent.name)
        for check in json.loads(file.read_bytes()):
            _note(found, Check(scenario, check["id"], check["name"]), check)
    return found


def _scenario(name: str) -> str:
    """The scenario of a result folder: `server-NAME-2026-01-02T03-04-05-678Z`, or without `server-`."""
    return name.removeprefix("server-").rsplit("-", 6)[0]


def _note(found: Results, check: Check, reported: Mapping[str, str]) -> None:
    verdict = _OF_STATUS.get(reported["status"], "not judged")
    known = found.checks.get(check)
    if known is None or _WORST_FIRST.index(verdict) < _WORST_FIRST.index(known.verdict):
        details = reported.get("errorMessage") or reported.get("description") or ""
        found.checks[check] = Outcome(verdict, details[:600])


def run(arguments: Sequence[str], out: Path, *, within: float) -> Results:
    """Run the suite with `arguments` into `out`. Its exit status says no more than the checks do."""
    command = [*needs_npm_program("conformance"), *arguments, "-o", str(out)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=within,
        env={**environment(), "NO_COLOR": "1"},
        cwd=os.fspath(out.parent),
        check=False,
    )
    found = read(out)
    assert found.checks, f"the suite reported nothing: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return found


def against_server(url: str, revision: str, out: Path) -> Results:
    return run(["server", "--url", url, "--requirements", revision], out, within=90)


def differences(direct: Results, through: Results) -> list[Difference]:
    """Every check with another verdict, scored or not."""
    checks = sorted({*direct.checks, *through.checks})
    found = [Difference(check, direct.of(check), through.of(check)) for check in checks]
    return [one for one in found if one.direct.verdict != one.through.verdict]


@dataclass
class Named:
    """A difference that is expected: which, how it changes, and why."""

    change: str
    why: str


def faults(found: Iterable[Difference], named: Mapping[str, Named]) -> dict[str, str]:
    """Differences that nobody named, and named ones that no longer occur, as `what: how it reads`."""
    seen: set[str] = set()
    faulty: dict[str, str] = {}
    for one in found:
        expected = named.get(one.check.key)
        if expected is None or expected.change != one.change:
            faulty[f"{one.check.key} {one.check.name} {one.change}"] = str(one)
        else:
            seen.add(one.check.key)
    return faulty | {key: f"{key}: named, but it no longer occurs" for key in named if key not in seen}


def compared(
    measure: Callable[[int], tuple[Results, Results]], named: Mapping[str, Named]
) -> tuple[Results, Results, list[str]]:
    """Run both sides, and once more where they differ in a way that nobody named.

    The suite gives a server 500 ms for some answers, which a busy machine can miss on either side. A
    fault is what shows in both runs. `measure` is given the number of the run.
    """
    for number in (1, 2):
        direct, through = measure(number)
        faulty = faults(differences(direct, through), named)
        if number == 1:
            first = faulty
        if not faulty:
            return direct, through, []
    return direct, through, [text for what, text in faulty.items() if what in first]
