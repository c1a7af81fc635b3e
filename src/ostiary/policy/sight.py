"""What a change of policy alters about the lists that a client is shown (P6, P7).

A client keeps a list until it is told that it changed. It is told when it could see a
difference, and not when only conditions, limits or messages changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from ostiary.policy.availability import visible
from ostiary.policy.compile import Compiled
from ostiary.policy.definition import Catalogue
from ostiary.policy.methods import decide_method

ListKind = Literal["tools", "resources", "prompts"]

_LISTS: Final[Mapping[ListKind, tuple[str, ...]]] = {
    "tools": ("tools/list",),
    "resources": ("resources/list", "resources/templates/list"),
    "prompts": ("prompts/list",),
}
_READ: Final = {"resources": "resources/read", "prompts": "prompts/get"}

_ALL: Final = "everything"


def may_differ(before: Compiled | None, after: Compiled | None, kind: ListKind) -> bool:
    """Whether the lists of `kind` could hold other entries under `after`, for some server."""
    return _basis(before, kind) != _basis(after, kind)


def tools_differ(
    before: Compiled | None, after: Compiled | None, catalogue: Catalogue | None, *, locked: bool
) -> bool:
    """Whether `tools/list` shows other names under `after`. Without a catalogue: whether it may."""
    if not may_differ(before, after, "tools"):
        return False
    if catalogue is None:
        return True
    return _shown(before, catalogue, locked=locked) != _shown(after, catalogue, locked=locked)


def pins_differ(compiled: Compiled | None, before: Catalogue | None, after: Catalogue | None) -> bool:
    """Whether `tools/list` shows other names since other pins are in force. Unknown: whether it may."""
    if before is None or after is None:
        return True
    return _shown(compiled, before, locked=True) != _shown(compiled, after, locked=True)


def _shown(compiled: Compiled | None, catalogue: Catalogue, *, locked: bool) -> set[str]:
    if not any(_listed(compiled, "tools")):
        return set()
    return {name for name in catalogue.definitions if visible(compiled, name, catalogue, locked=locked)}


def _listed(compiled: Compiled | None, kind: ListKind) -> tuple[bool, ...]:
    """For each listing method of `kind`, whether it is answered with anything."""
    if compiled is not None and compiled.monitor:
        return tuple(True for _ in _LISTS[kind])
    return tuple(
        decide_method(compiled, method, {}, from_server=False).effect == "allow" for method in _LISTS[kind]
    )


def _basis(compiled: Compiled | None, kind: ListKind) -> object:
    """Everything in a policy that decides which entries of a list are shown; None for none at all."""
    listed = _listed(compiled, kind)
    if compiled is None or not any(listed):
        return None
    policy = compiled.policy
    if compiled.monitor:
        return _ALL
    if kind == "tools":
        return (policy.default, policy.hide_all, frozenset(policy.hide), frozenset(compiled.plans))
    plan = compiled.methods
    rules = policy.resources if kind == "resources" else policy.prompts
    return (listed, rules, plan.methods.allows(_READ[kind]), plan.methods.default, plan.default)
