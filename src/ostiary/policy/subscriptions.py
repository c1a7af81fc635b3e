"""What a client may listen to (MCP 2026-07-28, `subscriptions/listen`).

A filter is judged as what it will bring: each resource in it like `resources/subscribe`, each
kind of list like the notification that says the list changed. One part that is denied denies
the request, since a filter cannot be cut without telling its author something untrue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from ostiary.policy.methods import HasMethods, MethodDecision, decide_method

LISTEN: Final = "subscriptions/listen"
MAX_SUBSCRIPTIONS: Final = 1_024
"""Most addresses in one filter."""

_KINDS: Final = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}


def decide_listen(compiled: HasMethods | None, params: Mapping[str, object]) -> MethodDecision:
    """Decide one `subscriptions/listen` by everything that it asks for."""
    decision = decide_method(compiled, LISTEN, params, from_server=False)
    wanted = params.get("notifications", {})
    if decision.effect != "allow":
        return decision
    if not isinstance(wanted, Mapping):
        return _unreadable(decision)
    asked = cast("Mapping[str, object]", wanted)
    for member, method in _KINDS.items():
        if asked.get(member):
            part = decide_method(compiled, method, {}, from_server=True)
            if part.effect != "allow":
                return part
    uris = asked.get("resourceSubscriptions", [])
    if not isinstance(uris, list) or len(cast("list[object]", uris)) > MAX_SUBSCRIPTIONS:
        return _unreadable(decision)
    for uri in cast("list[object]", uris):
        part = decide_method(compiled, "resources/subscribe", {"uri": uri}, from_server=False)
        if part.effect != "allow":
            return part
    return decision


def _unreadable(decision: MethodDecision) -> MethodDecision:
    message = f"Method `{LISTEN}` is not available with this filter"
    return MethodDecision("deny", ("(unreadable filter)",), message, decision.revision)
