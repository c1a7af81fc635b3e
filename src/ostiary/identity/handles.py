"""Handles that an upstream issued, bound to the grant that obtained them.

A client gets `<upstream id>.<MAC>`. The MAC covers grant and id, so any process with the same
key can check a handle, another grant cannot use it, and nothing has to be stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

MAX_REMEMBERED = 4096


class Handles:
    """Seals and opens MCP session ids under one key."""

    __slots__ = ("_key", "_opened")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._opened: dict[tuple[str, bytes], bytes] = {}

    def _mac(self, upstream_id: bytes, grant: str) -> bytes:
        text = b"%d:%b%b" % (len(grant), grant.encode(), upstream_id)
        digest = hmac.new(self._key, text, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18])

    def seal(self, upstream_id: bytes, grant: str) -> bytes:
        """The id that the client of `grant` is given for `upstream_id`."""
        return upstream_id + b"." + self._mac(upstream_id, grant)

    def open(self, handle: bytes, grant: str) -> bytes | None:
        """The upstream's id behind `handle`, or None when it is not this grant's."""
        known = self._opened.get((grant, handle))
        if known is not None:
            return known
        upstream_id, dot, mac = handle.rpartition(b".")
        if not dot or not hmac.compare_digest(mac, self._mac(upstream_id, grant)):
            return None
        if len(self._opened) >= MAX_REMEMBERED:
            self._opened.clear()
        self._opened[grant, handle] = upstream_id
        return upstream_id
