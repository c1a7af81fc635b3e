"""Signed checkpoints: made over rows that are on the disk, stored beside them, exportable."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ostiary.audit.chain import Checkpoint, Head, checkpoint_body, read_checkpoint
from ostiary.errors import CallerFault, GatewayFault

_CONTEXT = b"ostiary checkpoint 1\n"


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as it leaves the store: one line of JSON, kept elsewhere as an anchor.

    `checkpoint` is the signed text, `signature` and the public `key` are hex.
    """

    v: int = 1
    checkpoint: str
    signature: str
    key: str


def public_key(seed: bytes) -> bytes:
    """The 32 bytes that checkpoints are verified with."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, body: bytes) -> bytes:
    """Sign the bytes of a checkpoint."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(_CONTEXT + body)


def is_signed(key: bytes, body: bytes, signature: bytes) -> bool:
    """Whether `signature` over `body` was made with the private half of `key`."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _CONTEXT + body)
    except (InvalidSignature, ValueError):
        return False
    return True


def write(connection: sqlite3.Connection, seed: bytes, heads: Mapping[str, Head], now: int) -> bool:
    """Sign where the chains end and store it; False when nothing was added since the last.

    The rows up to `heads` must be synced. Another process may have seen a chain grow further:
    no chain is ever said to be shorter than before. Raises sqlite3.Error, and
    GatewayFault when the newest checkpoint was damaged.
    """
    chains = {writer: (head.rows, head.hash.hex()) for writer, head in heads.items()}
    connection.execute("BEGIN IMMEDIATE")
    try:
        newest = "SELECT body FROM checkpoints ORDER BY number DESC LIMIT 1"
        row = connection.execute(newest).fetchone()
        number, previous = 1, ""
        if row is not None:
            try:
                last = read_checkpoint(row[0])
            except msgspec.MsgspecError as error:
                raise GatewayFault("the newest checkpoint cannot be read", hint="run audit verify") from error
            number, previous = last.number + 1, digest_of(row[0])
            for writer, head in last.chains.items():
                if writer not in chains or chains[writer][0] < head[0]:
                    chains[writer] = head
            if chains == last.chains:
                return False
        body = checkpoint_body(Checkpoint(number=number, ts=now, chains=chains, previous=previous))
        row = (number, now, body.decode(), sign(seed, body))
        connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?)", row)
        connection.execute("COMMIT")
        return True
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def digest_of(body: str) -> str:
    """What the next checkpoint names as `previous`."""
    return sha256(body.encode()).hexdigest()


def export_newest(connection: sqlite3.Connection, key: bytes) -> bytes | None:
    """The newest checkpoint as one line, to be kept where the store's owner cannot change it."""
    newest = "SELECT body, signature FROM checkpoints ORDER BY number DESC LIMIT 1"
    row = connection.execute(newest).fetchone()
    if row is None:
        return None
    body, signature = row
    return msgspec.json.encode(Signed(checkpoint=body, signature=signature.hex(), key=key.hex())) + b"\n"


def read_anchor(content: bytes) -> tuple[Checkpoint, bytes]:
    """A checkpoint kept elsewhere, and the key it was signed with.

    Of several lines the last counts. Raises CallerFault when it is not intact.
    """
    lines = content.strip().splitlines()
    try:
        signed = msgspec.json.decode(lines[-1] if lines else b"", type=Signed)
        key, body = bytes.fromhex(signed.key), signed.checkpoint.encode()
        if not is_signed(key, body, bytes.fromhex(signed.signature)):
            raise CallerFault("the anchor is not intact: its signature does not match")
        return read_checkpoint(body), key
    except (msgspec.MsgspecError, ValueError) as error:
        raise CallerFault(
            "the anchor is not an exported checkpoint", hint="make one with audit export"
        ) from error
