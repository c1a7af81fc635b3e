"""Running processes of one state directory: a lock each, and a description for people.

A process writes the journal under the name of the lock it holds (`w1`, `w2`, ...). Names are
used again, so there are never more chains than processes that ran at once. The lock is the only
proof of life: the kernel frees it however the process ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import GatewayFault
from ostiary.store.state import PRIVATE_FILE, StateDir, replace

MAX_INSTANCES: Final = 1_000
SETUP_WAIT_S: Final = 30.0
_STEP_S: Final = 0.002
_TRIES: Final = 5  # someone who looks whether a lock is held, holds it for a moment


class Instance:
    """This process among the others. `id` is the writer of its rows."""

    __slots__ = ("_descriptor", "_details", "_file", "id")

    def __init__(self, name: str, descriptor: int, file: Path) -> None:
        self.id = name
        self._descriptor = descriptor
        self._file = file
        self._details: dict[str, str] = {"pid": str(os.getpid())}

    def describe(self, details: Mapping[str, str]) -> None:
        """Add to what `instances/<id>.json` says of this process (for `status`)."""
        self._details.update(details)
        document = {"v": 1, "id": self.id, **self._details}
        replace(self._file, msgspec.json.encode(document, order="sorted") + b"\n")

    def close(self) -> None:
        """Remove the description and free the lock. The lock file stays: removing it would race."""
        if self._descriptor >= 0:
            self._file.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def claim(state: StateDir) -> Instance:
    """Take the first free name. Raises GatewayFault when there is none."""
    for number in range(1, MAX_INSTANCES + 1):
        name = f"w{number}"
        descriptor = _open(state.instances / f"{name}.lock")
        if _lock(descriptor, fcntl.LOCK_EX):
            instance = Instance(name, descriptor, state.instances / f"{name}.json")
            instance.describe({})
            return instance
        os.close(descriptor)
    raise GatewayFault(f"more than {MAX_INSTANCES} processes use `{state.path}`")


def live(state: StateDir) -> set[str]:
    """The names whose lock is held, our own included."""
    held: set[str] = set()
    for path in state.instances.glob("w*.lock"):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if not _lock(descriptor, fcntl.LOCK_SH, tries=1):
            held.add(path.stem)
        os.close(descriptor)
    return held


def describe_all(state: StateDir) -> list[dict[str, str]]:
    """The descriptions of live instances, for `status`."""
    found: list[dict[str, str]] = []
    for name in sorted(live(state)):
        try:
            content = (state.instances / f"{name}.json").read_bytes()
            document = msgspec.json.decode(content, type=dict[str, str | int])
        except (FileNotFoundError, msgspec.DecodeError):
            document = {"id": name}
        found.append({key: str(value) for key, value in document.items()})
    return found


@contextmanager
def setup_lock(state: StateDir) -> Generator[None, None, None]:
    """One process at a time creates, migrates, claims a name and marks what the dead left."""
    descriptor = _open(state.instances / "setup.lock")
    try:
        if not _lock(descriptor, fcntl.LOCK_EX, tries=int(SETUP_WAIT_S / _STEP_S)):
            raise GatewayFault(f"another process has been starting on `{state.path}` for too long")
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
    except OSError as error:
        raise GatewayFault(f"cannot use `{path}`: {(error.strerror or 'failed').lower()}") from error


def _lock(descriptor: int, kind: int, tries: int = _TRIES) -> bool:
    for attempt in range(tries):
        if attempt:
            time.sleep(_STEP_S)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False
