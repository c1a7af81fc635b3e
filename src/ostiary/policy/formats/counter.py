"""Intercept's `state` conditions: the bound that a rule sets on the counter it keeps itself.

Intercept counts a call only when a condition of the same rule holds `lte` or `lt` against the rule's
own counter. Anything else is a limit that looks like one and is never counted, so it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from ostiary.policy.formats.draft import Draft
from ostiary.policy.formats.fields import Fields
from ostiary.policy.formats.table import INTERCEPT
from ostiary.policy.model import Limit
from ostiary.policy.source import MapNode, Node, Scalar, shown


@dataclass(frozen=True, slots=True)
class Counter:
    """A declared counter: the `state.` path that means it, and the limit without its `max`.

    The path is built from the tool's name, never taken apart, so names with dots work.
    """

    path: str
    limit: Limit


def is_state(node: MapNode) -> bool:
    """Whether a condition looks at a counter and not at the arguments."""
    return _path_text(node).startswith("state.")


def _path_text(node: MapNode) -> str:
    path = node.get("path")
    return path.value if isinstance(path, Scalar) and isinstance(path.value, str) else ""


def own_limit(
    draft: Draft, counter: Counter | None, conditions: list[MapNode], fields: Fields
) -> Limit | None:
    """The limit that a rule's `state` block and its conditions on that counter make together."""
    bounds = [bound for node in conditions if (bound := _bound(draft, counter, node)) is not None]
    if len(conditions) > 1 and bounds:
        draft.error("exclusive-keys", "a rule bounds its counter once", conditions[-1])
    if counter is None:
        return None
    if not bounds:
        if not conditions:
            message = f"no condition of this rule bounds `{counter.path}`, so nothing would be counted"
            draft.error("uncounted-state", message, fields.spot("state"), "add a condition with `op: lte`")
        return None
    return replace(counter.limit, max=bounds[0])


def _bound(draft: Draft, counter: Counter | None, node: MapNode) -> int | None:
    fields = Fields(draft, node, INTERCEPT["condition"])
    path, op, value = fields.node("path"), fields.text("op"), fields.node("value")
    if path is None or op is None or value is None:
        return None
    if counter is None or _path_text(node) != counter.path:
        _refuse_foreign(draft, counter, path, _path_text(node))
        return None
    if op not in {"lte", "lt"}:
        message = f"`{op}` on a counter counts nothing: only `lte` and `lt` set a maximum"
        draft.error("uncounted-state", message, fields.node("op") or node)
        return None
    return _most(draft, op, value)


def _refuse_foreign(draft: Draft, counter: Counter | None, at: Node, path: str) -> None:
    if counter is None:
        message = f"{shown(path)} is read, and this rule has no `state` that counts it"
        draft.error("foreign-counter", message, at, "add a `state` block with that counter")
        return
    owner, _, name = path.removeprefix("state.").rpartition(".")
    message = f"this rule counts `{counter.path}` and cannot read the counter {shown(name)} of {shown(owner)}"
    hint = "a counter that every tool shares stands under `*`" if owner == "_global" else None
    draft.error("foreign-counter", message, at, hint)


def _most(draft: Draft, op: str, node: Node) -> int | None:
    """`lte N` allows N, `lt N` allows N-1; only whole numbers have that meaning."""
    value = node.value if isinstance(node, Scalar) else None
    least = 0 if op == "lte" else 1
    if (
        not isinstance(value, Decimal)
        or not least <= value <= 2**53 - 1
        or value != value.to_integral_value()
    ):
        draft.error("out-of-range", f"`{op}` on a counter takes a whole number from {least} on", node)
        return None
    return int(value) - least
