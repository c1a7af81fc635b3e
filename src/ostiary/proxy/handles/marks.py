"""Keyed digests that stand for handles: no handle is kept, and none of one grant fits another."""

from __future__ import annotations

import hashlib
import hmac

MARK = 16
"""Bytes of a mark."""


class Marks:
    """Makes marks under one key, for one server."""

    __slots__ = ("_key", "_server")

    def __init__(self, key: bytes, server: str) -> None:
        self._key = hmac.digest(key, b"handles of " + server.encode(), "sha256")
        self._server = server

    def owner(self, grant: str) -> str:
        """Whose room a handle takes on the shelf: one server must not push out what another issued."""
        return f"{self._server}\n{grant}"

    def __call__(self, kind: str, grant: str, *parts: bytes) -> bytes:
        """The mark of a handle of `kind` in the hands of `grant`; `parts` say which, and where from."""
        text = b"".join(b"%d:%b" % (len(part), part) for part in (kind.encode(), grant.encode(), *parts))
        return hmac.digest(self._key, text, hashlib.sha256)[:MARK]


def as_bytes(handle: str) -> bytes:
    """A handle as bytes, whatever an upstream put into it."""
    return handle.encode("utf-8", "surrogatepass")
