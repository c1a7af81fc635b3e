"""The state directory: where it is, that nobody else can write to it, and its token."""

from __future__ import annotations

import os
import secrets
import stat
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ostiary.errors import CallerFault, GatewayFault

PRIVATE_DIRECTORY: Final = 0o700
PRIVATE_FILE: Final = 0o600
OTHERS_WRITE: Final = 0o022
TOKEN_PREFIX: Final = "ost_"  # noqa: S105 - a prefix, not a secret
TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class StateDir:
    """A state directory that exists, is ours and can be written by nobody else."""

    path: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "ostiary.db"

    @property
    def keys(self) -> Path:
        """Keys, 0700 with 0600 files."""
        return self.path / "keys"

    @property
    def pins(self) -> Path:
        """Pinned tool lists, one file for each server."""
        return self.path / "pins"

    @property
    def instances(self) -> Path:
        """One lock and one description for each running process."""
        return self.path / "instances"

    @property
    def token_file(self) -> Path:
        """The token that clients send when no other is configured."""
        return self.path / "token"

    def token(self) -> str:
        """The token of this state directory, created at the first call."""
        create_once(self.token_file, (new_token() + "\n").encode())
        text = read_private(self.token_file).decode("ascii", "replace").strip()
        if not text.startswith(TOKEN_PREFIX):
            raise CallerFault(
                f"`{self.token_file}` does not hold a token", hint="remove it to make a new one"
            )
        return text


def new_token() -> str:
    """Mint a token: `ost_` and 32 random bytes in base64url."""
    return TOKEN_PREFIX + urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).rstrip(b"=").decode()


def locate(option: str | Path | None, environment: Mapping[str, str]) -> Path:
    """Where the state directory is: the option, then the environment, then the home directory.

    Raises CallerFault when neither names one and there is no home.
    """
    if option:
        return Path(option)
    if chosen := environment.get("OSTIARY_STATE_DIR"):
        return Path(chosen)
    if (base := environment.get("XDG_STATE_HOME")) and Path(base).is_absolute():
        return Path(base) / "ostiary"
    home = environment.get("HOME")
    if not home:
        raise CallerFault(
            "no state directory: HOME is not set", hint="pass --state-dir or set OSTIARY_STATE_DIR"
        )
    return Path(home) / ".local" / "state" / "ostiary"


def open_state(path: Path) -> StateDir:
    """Create the directory if it is missing, check it, and create its parts.

    Raises CallerFault for a path that cannot serve, GatewayFault when the disk refuses.
    """
    try:
        path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        state = StateDir(path.resolve())
        check_private(state.path)
        for part in (state.keys, state.pins, state.instances):
            _make_part(part, state.path)
            check_private(part)
    except OSError as error:
        raise _fault(path, error) from error
    if not os.access(state.path, os.R_OK | os.W_OK | os.X_OK):
        raise CallerFault(
            f"state directory `{path}` cannot be written", hint="choose another with --state-dir"
        )
    return state


def _make_part(part: Path, whole: Path) -> None:
    """Make a part unless it exists. What root makes belongs to whom the state directory belongs to."""
    if part.exists():
        return
    part.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    owner = whole.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(part, owner.st_uid, owner.st_gid, follow_symlinks=False)


def find_state(path: Path) -> StateDir:
    """An existing state directory, for commands that only read.

    Raises CallerFault when it is missing or others can write to it.
    """
    if not path.is_dir():
        raise CallerFault(f"no state directory at `{path}`", hint="nothing was recorded there yet")
    check_private(path)
    return StateDir(path.resolve())


def check_private(path: Path) -> None:
    """Refuse a directory that its group or others can write to, or that another user owns."""
    try:
        status = path.stat()
    except OSError as error:
        raise _fault(path, error) from error
    if not stat.S_ISDIR(status.st_mode):
        raise CallerFault(f"`{path}` is not a directory")
    if status.st_mode & OTHERS_WRITE:
        raise CallerFault(f"others can write to `{path}`", hint=f"chmod 700 {path}")
    if status.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise CallerFault(f"`{path}` belongs to another user", hint="choose another with --state-dir")


def create_once(path: Path, content: bytes) -> None:
    """Create a private file with `content` unless it exists; whole or not at all."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        write_private(draft, content)
        try:
            os.link(draft, path)  # fails if another process was first, whose file then counts
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    except OSError as error:
        raise _fault(path, error) from error


def replace(path: Path, content: bytes) -> None:
    """Write a private file anew; a reader sees the old or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        write_private(draft, content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _fault(path, error) from error


def write_private(path: Path, content: bytes) -> None:
    """Create a 0600 file that must not exist, and sync it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def read_private(path: Path) -> bytes:
    """Read a file that only its owner can read or write.

    Raises CallerFault when it is missing, unreadable or open to others.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise CallerFault(f"cannot read `{path}`: {reason}") from error
    if mode & 0o077:
        raise CallerFault(f"others can read or write `{path}`", hint=f"chmod 600 {path}")
    return content


def _fault(path: Path, error: OSError) -> CallerFault | GatewayFault:
    reason = (error.strerror or type(error).__name__).lower()
    message = f"cannot use `{path}`: {reason}"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return CallerFault(f"`{path}` is not a directory")
    if isinstance(error, PermissionError | FileNotFoundError):
        return CallerFault(message, hint="choose another with --state-dir")
    return GatewayFault(message)
