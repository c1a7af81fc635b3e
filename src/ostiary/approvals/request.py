"""A request for approval, the answers to it, and where it stands."""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Literal

import msgspec

State = Literal["pending", "approved", "denied", "expired", "cancelled", "consumed"]
"""`pending` and `approved` can become another one; a denial stands until the request would have
expired, so that asking again is no way around it; the others are over."""

Verdict = Literal["approve", "deny"]

MAX_NOTE: Final = 500
"""Characters of what an approver may say to a request."""

FORM: Final = "client"
"""Who answered where the client's own user did, in a form (`convenience`). Nobody's registered name."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is asked to approve: one exact call of one principal (P5.1).

    `definition` is the digest of the tool's definition (empty where the tools are not known),
    `revision` that of the policy, `digest` the keyed digest of the canonical call. `approvers`
    are sets of names: one of each must agree; none at all means any registered approver. `asked`
    and `expires` are microseconds since the epoch. No argument value stands here.
    """

    id: str
    grant: str
    principal: str
    server: str
    tool: str
    definition: str
    revision: str
    digest: str
    asked: int
    expires: int
    rules: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    approvers: tuple[tuple[str, ...], ...] = ()
    message: str = ""
    convenience: bool = False
    args_keys: tuple[str, ...] = ()
    evaluation: str = ""

    @property
    def binding(self) -> bytes:
        """What a redemption must equal in every part: 32 bytes."""
        parts = (
            self.principal, self.grant, self.server, self.tool, self.definition, self.revision, self.digest,
        )  # fmt: skip
        return sha256(msgspec.json.encode(parts)).digest()

    @property
    def fingerprint(self) -> bytes:
        """Everything that approvers are shown, and so what they sign: 32 bytes.

        More than `binding`: whoever edits the row must not get a longer time out of an answer, nor
        fewer approvers.
        """
        return sha256(msgspec.json.encode(self)).digest()

    @property
    def terms(self) -> tuple[object, ...]:
        """What the policy says about asking; equal for every request with the same `binding`."""
        return (self.approvers, self.expires - self.asked, self.convenience)


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """One approver's answer. `at` is microseconds since the epoch; `signature` covers all of it."""

    approver: str
    verdict: Verdict
    note: str = ""
    at: int
    signature: bytes = b""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A request and what has become of it. `ended` is when it left `pending` and `approved` for good."""

    request: Request
    state: State = "pending"
    ended: int = 0
    note: str = ""
    resolutions: tuple[Resolution, ...] = ()
