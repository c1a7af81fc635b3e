"""A decision as data for people: the answer of `ostiary policy explain`."""

from __future__ import annotations

from ostiary.policy.decision import Decision

VERSION = 1


def explain(decision: Decision) -> dict[str, object]:
    """The documented shape: v, decision, rules, message, revision, unchecked."""
    return {
        "v": VERSION,
        "decision": decision.effect,
        "rules": list(decision.rules),
        "message": decision.message,
        "revision": decision.revision,
        "unchecked": list(decision.unchecked),
    }


def explain_lines(decision: Decision) -> list[str]:
    """The same in words, one fact a line, with the reasons and what would be charged."""
    lines = [f"decision: {decision.effect}"]
    lines += [f"rule: {rule}" for rule in decision.rules]
    lines += [f"reason: {reason}" for reason in decision.reasons]
    if decision.message:
        lines.append(f"the agent is told: {decision.message}")
    for charge in decision.charges:
        window = "at once" if charge.window is None else f"in {charge.window.seconds} s"
        lines.append(f"charge: {charge.amount} of {charge.ceiling} {window} ({charge.rule})")
    for clause in decision.unchecked:
        lines.append(f"not checked without the server's tool list: {UNCHECKED.get(clause, '')} ({clause})")
    if decision.revision:
        lines.append(f"revision: {decision.revision}")
    return lines


UNCHECKED = {
    "P2.8": "whether the server has this tool, unchanged",
    "P2.10": "whether the arguments fit its schema",
}
"""What the steps are, in words, that cannot be taken without `--tools` (P7.5)."""
