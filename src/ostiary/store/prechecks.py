"""`<state>/prechecks.json`: what servers looked like when a person last looked before connecting them.

    {"v": 1, "entries": {KEY: {"at": TIME, "version": …, "source": …, "tools": […]}, …}}

The file is 0600, is replaced whole, and is bounded: the servers looked at longest ago are forgotten
first. Two commands at once take turns. A file that cannot be read is moved aside, never written over.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.registry.subject import Action
from ostiary.registry.verdict import Fact, Source, weight
from ostiary.store.state import PRIVATE_FILE, StateDir, replace

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_ENTRIES: Final = 400
MAX_TOOLS: Final = 1_000
"""Tools that are kept of one server; of one with more the verdict is to ask first."""

MAX_DEFINITIONS: Final = 512 * 1024
"""Bytes of definitions that are kept of one server; of the rest only digests are."""

WAIT_S: Final = 5.0
_STEP_S: Final = 0.01
_ASIDE: Final = 1_000
_NONE: Final = msgspec.Raw(b"null")


class SeenTool(msgspec.Struct, frozen=True):
    """One tool as it was. `definition` is canonical JSON, `null` where only the digest was kept."""

    name: str
    digest: str
    fact: Fact
    definition: msgspec.Raw = _NONE


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One server as it was. `at` is microseconds since the epoch; `action` what was advised then.

    `whole` is False where it had more tools than are kept.
    """

    at: int
    version: str = ""
    source: Source = "nothing"
    action: Action = "ask-first"
    tools: tuple[SeenTool, ...] = ()
    ambiguous: tuple[str, ...] = ()
    whole: bool = True


class Memory(msgspec.Struct, frozen=True):
    """All of the file."""

    v: Literal[1] = 1
    entries: Mapping[str, Seen] = msgspec.field(default_factory=dict[str, Seen])


class BrokenMemory(CallerFault):
    """The file is there and cannot be relied on. `movable` where it is a file of ours, only unreadable."""

    def __init__(self, path: Path, problem: str, *, movable: bool = False) -> None:
        super().__init__(
            f"the memory of earlier prechecks, `{path}`, cannot be relied on: {problem}",
            hint="the next `ostiary precheck` moves it aside" if movable else None,
        )
        self.movable = movable


_decode = msgspec.json.Decoder(Memory).decode
_encode = msgspec.json.Encoder().encode


def memory_path(folder: Path) -> Path:
    """Where the memory of the state directory at `folder` is."""
    return folder / "prechecks.json"


def read_memory(folder: Path) -> Memory:
    """What is remembered; nothing where there is no file. Raises BrokenMemory."""
    path = memory_path(folder)
    content = _content(path)
    if content is None:
        return Memory()
    if len(content) > MAX_BYTES:
        raise BrokenMemory(path, f"it has more than {MAX_BYTES} bytes", movable=True)
    try:
        return _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenMemory(path, _reason(error), movable=True) from None


def _reason(error: Exception) -> str:
    """What is wrong, without text of the file."""
    return "it is cut off" if "truncated" in str(error) else "it is not what Ostiary writes there"


def _content(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BrokenMemory(path, (error.strerror or "failed").lower()) from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BrokenMemory(path, "it is no regular file")
        if status.st_mode & 0o077:
            raise BrokenMemory(path, f"others can read or write it: chmod 600 {path}")
        return file.read(MAX_BYTES + 1)


@contextmanager
def turn(state: StateDir) -> Generator[None]:
    """One command at a time reads and writes the memory. Raises GatewayFault after five seconds."""
    path = state.path / "prechecks.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
    except OSError as error:
        raise GatewayFault(f"cannot use `{path}`: {(error.strerror or 'failed').lower()}") from None
    try:
        deadline = time.monotonic() + WAIT_S
        while not _taken(descriptor):
            if time.monotonic() >= deadline:
                raise GatewayFault(f"another precheck has held `{path}` for {WAIT_S:g} seconds")
            time.sleep(_STEP_S)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def set_aside(state: StateDir) -> Path:
    """Move a file that cannot be read to a free name beside it, and say which."""
    path = memory_path(state.path)
    for number in range(1, _ASIDE):
        kept = path.with_name(f"prechecks.broken-{number}.json")
        try:
            os.link(path, kept, follow_symlinks=False)  # fails where the name is taken: nothing is lost
        except FileExistsError:
            continue
        except OSError as error:
            raise GatewayFault(
                f"cannot move `{path}` aside: {(error.strerror or 'failed').lower()}"
            ) from None
        path.unlink()
        return kept
    raise GatewayFault(f"there are {_ASIDE - 1} broken files beside `{path}`", hint="remove some")


def remember(state: StateDir, memory: Memory, key: str, seen: Seen) -> None:
    """Write the memory with `seen` under `key`. To be called in a `turn`. Raises GatewayFault."""
    others = {name: one for name, one in memory.entries.items() if name != key}
    newest = sorted(others.items(), key=lambda pair: -pair[1].at)[: MAX_ENTRIES - 1]
    kept = [(key, kept_of(seen)), *newest]
    sizes = [len(_encode({name: one})) for name, one in kept]
    room = MAX_BYTES - 1_000
    entries: dict[str, Seen] = {}
    for (name, one), size in zip(kept, sizes, strict=True):
        room -= size
        if room >= 0:
            entries[name] = one
    replace(memory_path(state.path), _encode(Memory(entries=entries)) + b"\n")


def kept_of(seen: Seen) -> Seen:
    """The same within what is kept of one server: the tools that a verdict rests on most, in their order.

    A server chooses its order, and would list what it wants forgotten last.
    """
    worst = sorted(range(len(seen.tools)), key=lambda at: weight(seen.tools[at].fact), reverse=True)
    room = MAX_DEFINITIONS
    tools: list[SeenTool] = []
    for tool in (seen.tools[at] for at in sorted(worst[:MAX_TOOLS])):
        room -= len(bytes(tool.definition))
        tools.append(tool if room >= 0 else msgspec.structs.replace(tool, definition=_NONE))
    whole = seen.whole and len(seen.tools) <= MAX_TOOLS
    return msgspec.structs.replace(seen, tools=tuple(tools), whole=whole)
