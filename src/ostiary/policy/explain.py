"""A decision as data for people: the answer of `ostiary policy explain`."""

from __future__ import annotations

from ostiary.policy.decision import Decision, Hold

VERSION = 1


def explain(decision: Decision) -> dict[str, object]:
    """The documented shape: v, decision, rules, message, revision, unchecked; and hold, where one is."""
    shown: dict[str, object] = {
        "v": VERSION,
        "decision": decision.effect,
        "rules": list(decision.rules),
        "message": decision.message,
        "revision": decision.revision,
        "unchecked": list(decision.unchecked),
    }
    if decision.hold is not None:
        shown["hold"] = _hold(decision.hold)
    return shown


def _hold(hold: Hold) -> dict[str, object]:
    """Times in seconds; `hold_s` is null where the gate decides; of each list of approvers one agrees."""
    return {
        "approvers": [sorted(names) for names in hold.approvers],
        "timeout_s": hold.timeout_seconds,
        "hold_s": hold.hold_seconds,
        "message": hold.message,
        "convenience": hold.convenience,
        "reasons": list(hold.reasons),
    }


def explain_lines(decision: Decision) -> list[str]:
    """The same in words, one fact a line, with the reasons and what would be charged."""
    lines = [f"decision: {decision.effect}"]
    lines += [f"rule: {rule}" for rule in decision.rules]
    lines += [f"reason: {reason}" for reason in decision.reasons]
    if decision.message:
        lines.append(f"the agent is told: {decision.message}")
    if decision.hold is not None:
        lines += _hold_lines(decision.hold)
    for charge in decision.charges:
        window = "at once" if charge.window is None else f"in {charge.window.seconds} s"
        lines.append(f"charge: {charge.amount} of {charge.ceiling} {window} ({charge.rule})")
    for clause in decision.unchecked:
        lines.append(f"not checked without the server's tool list: {UNCHECKED.get(clause, '')} ({clause})")
    if decision.revision:
        lines.append(f"revision: {decision.revision}")
    return lines


def _hold_lines(hold: Hold) -> list[str]:
    lines = [f"approval: of {' or '.join(sorted(names))}" for names in hold.approvers]
    if not lines:
        lines = ["approval: of anybody who may approve"]
    if hold.convenience:
        lines.append("approval: the client's own user may answer too")
    if hold.message:
        lines.append(f"the approver is told: {hold.message}")
    lines.append(f"expires: in {hold.timeout_seconds} s")
    if hold.hold_seconds is not None:
        lines.append(f"held open: for at most {hold.hold_seconds} s")
    return lines


UNCHECKED = {
    "P2.8": "whether the server has this tool, unchanged",
    "P2.10": "whether the arguments fit its schema",
}
"""What the steps are, in words, that cannot be taken without `--tools` (P7.5)."""
