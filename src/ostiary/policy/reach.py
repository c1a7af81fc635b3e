"""How far a policy reaches: what the gate must look at, and what it may leave alone."""

from __future__ import annotations

from ostiary.policy.compile import Compiled
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.policy.model import MethodRules

_SILENT = MethodRules()


def wants_catalogue(compiled: Compiled) -> bool:
    """Whether calls need the upstream's tool list: always, except where nothing is said at all."""
    policy = compiled.policy
    every = policy.all_tools
    silent = not policy.tools and not policy.hide and not policy.hide_all
    if every.approve_if:
        return True  # an approval is bound to the definition of the tool (P5.1)
    return policy.default == "deny" or not silent or every.validation is not None


def needs_approvers(compiled: Compiled) -> bool:
    """Whether some call can be held for somebody else than the client's own user."""
    policy = compiled.policy
    return any(
        rules.approve_if and not (rules.approval is not None and rules.approval.convenience)
        for rules in (policy.all_tools, *policy.tools.values())
    )


def validated(compiled: Compiled | None, catalogue: Catalogue) -> list[ToolDefinition]:
    """The tools whose arguments are checked against what they advertise (P2.10)."""
    if compiled is None:
        return []
    plans, unlisted = compiled.plans, compiled.unlisted
    return [
        definition
        for name, definition in catalogue.definitions.items()
        if plans.get(name, unlisted).validations
    ]


def passes_everything(compiled: Compiled) -> bool:
    """Whether no message other than a call can be hidden or denied, in either direction.

    Then answers need not be read before they are passed on. A monitoring policy enforces
    nothing, so it passes everything too (P8.1).
    """
    policy = compiled.policy
    if policy.monitor:
        return True
    nothing_hidden = not policy.hide and not policy.hide_all and not policy.tools
    rules = (policy.methods, policy.resources, policy.prompts)
    return policy.default == "allow" and nothing_hidden and all(one == _SILENT for one in rules)
