"""The second opinion on holds: whose terms count, and what several of them ask for together."""

from __future__ import annotations

from typing import Any

UNITS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}


def seconds(length: str) -> int:
    """`30m` as seconds."""
    return int(length[:-1]) * UNITS[length[-1]]


def terms(policy: dict[str, Any], tool: str, rule: str) -> dict[str, Any]:
    """P5.2: the terms beside the rule; for a tool without terms, those of all tools."""
    every = policy.get("all_tools", {}).get("approval")
    own = None if rule.startswith("/all_tools/") else policy["tools"][tool].get("approval")
    found = own if own is not None else every
    return {} if found is None else found


def merge(asked: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """P5.4, from (rule id, rule, terms) of every rule that holds, in the shape of `explain`."""
    approvers: list[list[str]] = []
    messages: list[str] = []
    for _, _, found in asked:
        names = sorted(found.get("approvers", []))
        if names and names not in approvers:
            approvers.append(names)
        if "message" in found and found["message"] not in messages:
            messages.append(found["message"])
    held = sorted(seconds(found["hold"]) for _, _, found in asked if "hold" in found)
    reasons = [
        rule.get("reason") or rule.get("on_deny") or f"`{name}` asks for approval" for name, rule, _ in asked
    ]
    return {
        "approvers": approvers,
        "timeout_s": min(seconds(found.get("timeout", "30m")) for _, _, found in asked),
        "hold_s": held[0] if held else None,
        "message": "; ".join(messages),
        "convenience": not any(found.get("convenience") is not True for _, _, found in asked),
        "reasons": reasons,
    }
