"""Grants: labelled bearer tokens, and the principal behind each.

A token is compared by its SHA-256 only, so neither a look-up nor its timing tells a guess how
near it came (the digest of a guess is as good as random).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

BEARER = b"bearer "


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may come in: `name` labels the token, `principal` is who uses it."""

    name: str
    principal: str

    @classmethod
    def named(cls, name: str) -> Grant:
        """The implicit grant of a single proxy."""
        return cls(name=name, principal=f"grant:{name}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Bearer tokens in force, by digest. An empty table admits nobody.

    `anonymous` is the grant of callers without a token; it is only ever set by
    `--unsafe-no-token` and for stdio, where the operating system decides who may write.
    """

    by_digest: dict[bytes, Grant] = field(default_factory=dict[bytes, Grant])
    anonymous: Grant | None = None

    @classmethod
    def single(cls, token: str, grant: Grant) -> Tokens:
        """A table with one token."""
        return cls(by_digest={hashlib.sha256(token.encode()).digest(): grant})

    def admit(self, authorization: bytes | None) -> Grant | None:
        """The grant that an `Authorization` header value stands for, or None (RFC 6750)."""
        if authorization is None:
            return self.anonymous
        if authorization[:7].lower() != BEARER:
            return None
        return self.by_digest.get(hashlib.sha256(authorization[7:].strip()).digest())
