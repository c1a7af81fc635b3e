"""A letter for a server, with the sum it comes from."""

from __future__ import annotations

from typing import Final

from ostiary.registry.classification import Classified, Grade, Severity
from ostiary.registry.classify.rules import load

WORST: Final = "F"


def grade(classified: Classified) -> Grade:
    """A to F by the sum of points, each tool by its severity and each finding; one bad thing bounds it."""
    rules = load().severities.grade
    parts: list[tuple[str, int]] = []
    for severity in reversed(Severity):
        count = sum(one.severity is severity for one in classified)
        if count and rules.points[severity]:
            parts.append((f"{count} x {severity}", count * rules.points[severity]))
    findings = sum(len(one.findings) for one in classified)
    if findings:
        parts.append((f"{findings} x finding", findings * rules.finding))
    points = sum(each for _, each in parts)
    letter = next((letter for letter, most in rules.letters if points <= most), WORST)
    found = {one.severity for one in classified}
    found |= {finding.severity for one in classified for finding in one.findings}
    for severity in reversed(Severity):
        best = rules.at_best.get(severity, "A")
        if severity in found and best > letter:
            return Grade(best, points, tuple(parts), f"at best {best}: something is {severity}")
    return Grade(letter, points, tuple(parts))
