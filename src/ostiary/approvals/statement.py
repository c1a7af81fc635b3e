"""What approvers sign, and which keys are believed.

An agent with a shell can write to every file of its own user. What it cannot do is sign as an
approver, whose key is encrypted with a passphrase or belongs to another user; so a row that says
`approved` counts for nothing without signatures. The first approver is believed because they were
there when the gate started; every later one because an earlier one signed for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ostiary.approvals.lifecycle import agreed, may_answer
from ostiary.approvals.request import FORM, Request, Resolution, Standing, Verdict

MAX_APPROVERS: Final = 64


class Approver(msgspec.Struct, frozen=True, kw_only=True):
    """A registered approver. `public` is the raw Ed25519 key (RFC 8032), 32 bytes.

    `sponsor` signed for them, and is empty for the first. `added` is microseconds since the epoch.
    """

    name: str
    public: bytes
    added: int
    sponsor: str = ""
    signature: bytes = b""


def about_verdict(request: Request, approver: str, verdict: Verdict, note: str, at: int) -> bytes:
    """The bytes that an approver signs to answer `request`."""
    return _statement("approval", request.id, request.fingerprint.hex(), approver, verdict, note, str(at))


def about_approver(name: str, public: bytes, added: int, sponsor: str) -> bytes:
    """The bytes that `sponsor` signs to introduce another approver."""
    return _statement("approver", name, public.hex(), str(added), sponsor)


def about_lifting(scope: str, name: str, number: int, at: int, approver: str) -> bytes:
    """The bytes that an approver signs to lift the emergency stop with this number."""
    return _statement("lift", scope, name, str(number), str(at), approver)


def _statement(*parts: str) -> bytes:
    return b"ostiary-v1 " + msgspec.json.encode(parts)


def believed(registered: Sequence[Approver]) -> Mapping[str, bytes]:
    """The keys of approvers by name, in the order in which they vouch for each other.

    Raises ValueError, in words for people, for a register in which anybody is not vouched for.
    """
    keys: dict[str, bytes] = {}
    if len(registered) > MAX_APPROVERS:
        raise ValueError(f"there are more than {MAX_APPROVERS} approvers")
    for index, approver in enumerate(registered):
        if approver.name in keys or approver.name == FORM:
            raise ValueError(f"the name `{approver.name}` cannot be registered here")
        if index:
            sponsor = keys.get(approver.sponsor)
            text = about_approver(approver.name, approver.public, approver.added, approver.sponsor)
            if sponsor is None or not verifies(sponsor, approver.signature, text):
                raise ValueError(f"nobody who is registered has signed for `{approver.name}`")
        keys[approver.name] = approver.public
    return keys


def verifies(public: bytes, signature: bytes, text: bytes) -> bool:
    """Whether `signature` is that of the key `public` over `text`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def signed_by(request: Request, resolution: Resolution, keys: Mapping[str, bytes]) -> bool:
    """Whether an answer really is that of the approver it names."""
    key = keys.get(resolution.approver)
    if key is None or may_answer(request, resolution.approver):
        return False
    text = about_verdict(request, resolution.approver, resolution.verdict, resolution.note, resolution.at)
    return verifies(key, resolution.signature, text)


def trustworthy(standing: Standing, keys: Mapping[str, bytes]) -> bool:
    """Whether signed answers add up to an approval, whatever the row says of itself."""
    request = standing.request
    approving = frozenset(
        one.approver
        for one in standing.resolutions
        if one.verdict == "approve" and signed_by(request, one, keys)
    )
    return agreed(request, approving)
