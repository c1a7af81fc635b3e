"""What the policy in front of a server could let pass, for a server that lists only what may be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.proxy.desk import Desk

Permits = Callable[[str, Mapping[str, object]], bool]
"""Whether the policy in front of a server could let a tool be called with these arguments."""


def desk_permits(desk: Desk, tool: str, arguments: Mapping[str, object]) -> bool:
    """Whether the policy in force could let this call pass. Nothing is counted by asking."""
    policy = desk.policy
    if policy is not None and policy.monitor:
        return True
    return decide(policy, Question(tool=tool, arguments=arguments)).effect != "deny"
