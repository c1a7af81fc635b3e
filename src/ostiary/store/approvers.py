"""Registered approvers, and the keys they sign with: files below the state directory.

`keys/approvers.json` holds names and public keys; every approver but the first is signed for by an
earlier one. `keys/approver` is the first one's private key, encrypted with a passphrase (PKCS #8,
RFC 5958). Other keys lie wherever their owners keep them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ostiary.approvals.statement import Approver, about_approver, believed
from ostiary.errors import CallerFault
from ostiary.store.state import StateDir, create_once, replace

REGISTER: Final = "approvers.json"
PRIVATE: Final = "approver"
MIN_PASSPHRASE: Final = 8
"""Characters that a passphrase has at least."""
_MAX_FILE: Final = 65_536


class _Register(msgspec.Struct, frozen=True):
    v: int
    approvers: tuple[Approver, ...]


def register_path(state: StateDir) -> Path:
    """Where approvers are registered."""
    return state.keys / REGISTER


def private_path(state: StateDir) -> Path:
    """Where the key of the first approver lies, unless they chose another place."""
    return state.keys / PRIVATE


def registered(state: StateDir) -> tuple[Approver, ...]:
    """The approvers, each vouched for. Raises CallerFault for a register that is not sound."""
    path = register_path(state)
    try:
        content = path.read_bytes()[: _MAX_FILE + 1]
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise CallerFault(f"cannot read `{path}`: {(error.strerror or 'failed').lower()}") from error
    try:
        found = msgspec.json.decode(content, type=_Register)
        believed(found.approvers)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CallerFault(f"`{path}` cannot be believed: {error}", hint="restore it from a backup") from error
    return found.approvers


class Believed:
    """The keys a running gate believes: those it started with, and whom they vouch for since.

    A register whose first approver is another than at the start is not believed, and neither is
    one that appears later where there was none: otherwise whoever may write to the state
    directory could approve their own calls.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._first = registered(state)[:1]
        self._seen: tuple[int, int, int] | None = None
        self._keys: Mapping[str, bytes] = {}

    @property
    def nobody(self) -> bool:
        """Whether no approval can ever be given in this process."""
        return not self._first

    def keys(self) -> Mapping[str, bytes]:
        """The public keys by name, read anew when the register has changed."""
        if not self._first:
            return {}
        try:
            status = register_path(self._state).stat()
        except OSError:
            return {}
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            self._seen, self._keys = seen, self._read()
        return self._keys

    def _read(self) -> Mapping[str, bytes]:
        try:
            found = registered(self._state)
        except CallerFault:
            return {}
        return believed(found) if found[:1] == self._first else {}


def make_key(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """Make a private key at `path` (0600), encrypted unless `passphrase` is empty.

    Raises CallerFault when there is a file already.
    """
    if path.exists():
        raise CallerFault(f"`{path}` exists already", hint="choose another file with --key")
    key = Ed25519PrivateKey.generate()
    protection = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    create_once(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    return key


def encrypted(path: Path) -> bool:
    """Whether the key at `path` asks for a passphrase. Raises CallerFault when it cannot be read."""
    return b"ENCRYPTED" in _read_key(path).split(b"\n", 1)[0]


def unlock(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """The private key at `path`. Raises CallerFault for a wrong passphrase or another kind of key."""
    content = _read_key(path)
    try:
        key = load_pem_private_key(content, passphrase.encode() if passphrase else None)
    except TypeError:
        said = "is not encrypted" if passphrase else "needs its passphrase"
        raise CallerFault(f"the key `{path}` {said}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CallerFault(f"the passphrase does not open `{path}`, or it is no approver's key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CallerFault(f"`{path}` is not an approver's key", hint="approvals init makes one")
    return key


def enrol(
    state: StateDir,
    name: str,
    key: Ed25519PrivateKey,
    now: int,
    sponsor: tuple[str, Ed25519PrivateKey] | None,
) -> Approver:
    """Register `name`; with `sponsor` (name and key) unless they are the first. Raises CallerFault."""
    others = registered(state)
    public = key.public_key().public_bytes_raw()
    named, signature = "", b""
    if others:
        if sponsor is None:
            raise CallerFault(
                f"there are approvers already, and one of them has to sign for `{name}`",
                hint=f"add --sponsor-key FILE with the key of {others[0].name}",
            )
        named = sponsor[0]
        signature = sponsor[1].sign(about_approver(name, public, now, named))
    approver = Approver(name=name, public=public, added=now, sponsor=named, signature=signature)
    everybody = (*others, approver)
    try:
        believed(everybody)
    except ValueError as error:
        raise CallerFault(f"cannot register `{name}`: {error}") from error
    replace(register_path(state), msgspec.json.format(msgspec.json.encode(_Register(1, everybody))) + b"\n")
    return approver


def name_of(state: StateDir, key: Ed25519PrivateKey) -> str:
    """Under which name `key` is registered. Raises CallerFault when it is not."""
    public = key.public_key().public_bytes_raw()
    for approver in registered(state):
        if approver.public == public:
            return approver.name
    raise CallerFault("this key belongs to no registered approver", hint="approvals init registers one")


def _read_key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MAX_FILE)
    except FileNotFoundError:
        raise CallerFault(
            f"there is no approver's key at `{path}`",
            hint="name it with --key, or make one: ostiary approvals init",
        ) from None
    except OSError as error:
        raise CallerFault(f"cannot read `{path}`: {(error.strerror or 'failed').lower()}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CallerFault(f"others can read or write `{path}`", hint=f"chmod 600 {path}")
    return content
