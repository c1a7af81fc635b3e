"""HTTP+SSE ends with the revisions that have a handshake: others are told so, and not kept waiting."""

from __future__ import annotations

from ostiary.proxy.bridge.glance import Glance
from ostiary.wire import answers
from ostiary.wire.era import LEGACY_VERSIONS, UNSUPPORTED_VERSION


def unsupported(seen: Glance) -> bytes:
    """The error that makes a client of a later revision shake hands (MCP 2026-07-28, versioning)."""
    data = {"supported": list(LEGACY_VERSIONS), "requested": str(seen.version)[:64]}
    text = "this revision is not spoken over HTTP+SSE"
    return answers.error(seen.id, UNSUPPORTED_VERSION, text, data)
