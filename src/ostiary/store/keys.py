"""Keys that belong to a state directory: made once, never shown."""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from ostiary.errors import CallerFault
from ostiary.store.state import StateDir, create_once, read_private

KEY_BYTES: Final = 32
AUDIT: Final = "audit.hmac"
CHECKPOINT: Final = "checkpoint.ed25519"
SESSION: Final = "session.mac"
APPROVALS: Final = "approvals.aes"


class Keys:
    """The keys, each 32 random bytes in a 0600 file under `keys/`.

    `audit` keys the digests in records, `session` the handles given to clients, `checkpoint` is
    the seed of the Ed25519 key that signs checkpoints, and `approvals` encrypts calls that wait
    for a person.
    """

    __slots__ = ("approvals", "audit", "checkpoint", "session")

    def __init__(self, audit: bytes, checkpoint: bytes, session: bytes, approvals: bytes) -> None:
        self.audit = audit
        self.checkpoint = checkpoint
        self.session = session
        self.approvals = approvals


def load_keys(state: StateDir) -> Keys:
    """Read the keys, making those that are missing. Raises CallerFault for a damaged one."""
    return Keys(*(_key(state, name) for name in (AUDIT, CHECKPOINT, SESSION, APPROVALS)))


def _key(state: StateDir, name: str) -> bytes:
    path = state.keys / name
    create_once(path, secrets.token_bytes(KEY_BYTES))
    key = read_private(path)
    if len(key) != KEY_BYTES:
        raise CallerFault(f"`{path}` is not a key of {KEY_BYTES} bytes", hint="restore it from a backup")
    return key


def keyed_digest(key: bytes, content: bytes) -> str:
    """HMAC-SHA256 as `hmac-sha256:<hex>`: equal for equal content, useless for guessing."""
    return "hmac-sha256:" + hmac.digest(key, content, "sha256").hex()
