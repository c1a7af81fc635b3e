"""Whether a tool exists for a grant: steps 6-8 of P2, shared by calls and `tools/list`."""

from __future__ import annotations

from typing import NamedTuple

from ostiary.policy.compile import Compiled
from ostiary.policy.definition import Catalogue
from ostiary.policy.phrases import shown
from ostiary.policy.twins import twin_of


class Refusal(NamedTuple):
    """Why a tool is not available: a rule id, and the reason for people."""

    rule: str
    reason: str


def unavailable(
    compiled: Compiled, tool: str, catalogue: Catalogue | None, *, locked: bool
) -> Refusal | None:
    """Take steps 6-8 of P2; None when the tool may be called, as far as its name goes."""
    policy = compiled.policy
    # 6. Hidden.
    if policy.hide_all or tool in policy.hide:
        return Refusal("(hidden)", "the policy hides this tool")
    listed = tool in compiled.plans
    # 7. Not listed.
    if not listed and policy.default == "deny":
        twin = compiled.twin_of(tool)
        tail = "" if twin is None else f"; its name only folds to `{shown(twin)}`"
        return Refusal("(default deny)", "the policy does not list this tool and denies by default" + tail)
    # 8. A look-alike of a name in the policy; then what the upstream says.
    if not listed:
        twin = compiled.twin_of(tool)
        if twin is not None:
            return _name_twin(twin)
    if tool == "*":
        return Refusal("(unknown tool)", "`*` is not a tool name")
    return None if catalogue is None else _unknown(compiled, tool, catalogue, locked=locked)


def _unknown(compiled: Compiled, tool: str, catalogue: Catalogue, *, locked: bool) -> Refusal | None:
    if tool in catalogue.drifted:
        return Refusal("(drift)", "the tool's definition differs from the pinned one")
    if tool in catalogue.definitions:
        return None
    twin = twin_of(tool, catalogue.definitions)
    if twin is not None:
        return _name_twin(twin)
    if compiled.policy.default == "deny" or locked:
        return Refusal("(unknown tool)", "the upstream does not advertise this tool")
    return None


def _name_twin(known: str) -> Refusal:
    return Refusal("(name twin)", f"the name only folds to `{shown(known)}`")


def visible(
    compiled: Compiled | None, name: str, catalogue: Catalogue | None, *, locked: bool = False
) -> bool:
    """Whether `tools/list` may show `name`: exactly when steps 4 and 6-8 would let a call pass.

    In monitor mode everything is shown (P8.1).
    """
    if compiled is None:
        return False
    return compiled.monitor or unavailable(compiled, name, catalogue, locked=locked) is None


def filters_lists(compiled: Compiled | None, *, locked: bool = False) -> bool:
    """Whether any tool could be missing from `tools/list`, so that lists must be read.

    A policy that names tools hides their twins; pins (`locked`) hide what drifted.
    """
    if compiled is None:
        return True
    policy = compiled.policy
    if policy.monitor:
        return False
    return locked or policy.default == "deny" or policy.hide_all or bool(policy.hide or compiled.plans)
