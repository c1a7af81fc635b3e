"""Revisions of the protocol by name, and which requests the newest ones no longer have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
"""The key of `_meta` under which a modern request names its revision."""

LEGACY_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")

REMOVED = frozenset(
    {
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
    }
)
"""Requests of the legacy revisions that 2026-07-28 and its extensions no longer have."""


def is_removed(method: str, params: Mapping[str, object]) -> bool:
    """Whether the revision that `_meta` names no longer has `method`.

    Such a request has no shape there, whatever its params: the answer is "no such method" and not
    "bad params" (MCP 2026-07-28). It is refused as soon as the headers agree on the revision.
    """
    if method not in REMOVED:
        return False
    meta = cast("Mapping[str, object]", params.get("_meta") or {})
    version = meta.get(PROTOCOL_VERSION)
    return version is not None and version not in LEGACY_VERSIONS
