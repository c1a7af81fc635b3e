"""The set-up step of this engine: the only part of it that uses the network.

`prepare_pyodide` puts one folder into the cache: the pinned package, our files for the other side,
and a memory snapshot for the program at hand, built there and tested. `find_pyodide` finds it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import GatewayFault
from ostiary.sandbox.cpython.protocol import BrokenError, Reader
from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.pyodide import fetch, launch
from ostiary.sandbox.pyodide.frames import Word, word
from ostiary.sandbox.pyodide.javascript import Runtime

_PATIENCE: Final = 180.0
"""Seconds for one start of the runtime: some on an idle machine, and this is done once."""
_MOST: Final = 256 * MIB


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared Pyodide. `place` is its folder and `runtime` the program that it was asked for.

    `snapshot` is a file name in it, or empty: then workers load Pyodide the long way, and `note`
    says why. `check` is what the self-test of a worker has to answer.
    """

    place: str
    runtime: Runtime
    check: str
    snapshot: str = ""
    note: str = ""


class _Made(msgspec.Struct):
    """What is kept beside a snapshot, also of one that was not good enough."""

    check: str
    digest: str = ""
    why: str = ""


def place_of(cache: Path) -> Path:
    """The folder for this Pyodide and this state of our own files."""
    return cache / "pyodide" / f"{fetch.VERSION}-{launch.own_key()}"


def find_pyodide(cache: Path, runtime: Runtime) -> Found | None:
    """What was prepared for `runtime`, or None. A snapshot counts only while its bytes are the tested ones.

    Reads the whole snapshot: some dozen milliseconds.
    """
    place = place_of(cache)
    name = launch.snapshot_key(fetch.VERSION, runtime)
    try:
        made = msgspec.json.decode((place / f"{name}.json").read_bytes(), type=_Made)
    except (OSError, msgspec.DecodeError):
        return None
    found = Found(place=str(place), runtime=runtime, check=made.check)
    if not made.digest:
        return msgspec.structs.replace(found, note=made.why)
    try:
        with (place / f"{name}.bin").open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return msgspec.structs.replace(found, note=f"the memory snapshot is gone ({error.strerror})")
    if digest != made.digest:
        return msgspec.structs.replace(found, note="the memory snapshot is not the one that was tested")
    return msgspec.structs.replace(found, snapshot=f"{name}.bin")


def prepare_pyodide(
    cache: Path,
    runtime: Runtime,
    *,
    environ: Mapping[str, str],
    registry: str = "",
    archive: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Found:
    """Fetch what is not there, build and test the snapshot, and say what can be used from now on.

    Takes about half a minute the first time. `registry` and `archive` as for `fetch.fetched`; `say`
    is told of each step, in words. Repeating it mends what is broken. Two processes may do this at
    once. Raises CallerFault when the package cannot be had, GatewayFault when it does not work.
    """
    place = place_of(cache)
    try:
        if not place.is_dir():
            say(f"fetching pyodide {fetch.VERSION}")
            _fill(place, fetch.fetched(environ, registry=registry, archive=archive))
        say(f"trying it with {runtime.named()}")
        check = _started(runtime, launch.Start(place=str(place), replies=0)).ready
        if check is None:
            raise GatewayFault(f"pyodide {fetch.VERSION} does not start with {runtime.named()}")
        say("building and testing the memory snapshot")
        _snapshot(place, runtime, check)
    except OSError as error:
        raise GatewayFault(f"cannot prepare pyodide in {place}: {error.strerror}") from error
    found = find_pyodide(cache, runtime)
    if found is None:
        raise GatewayFault(f"what was prepared in {place} has gone again")
    return found


def _fill(place: Path, archive: bytes) -> None:
    """Write the folder beside its place, and put it there in one step."""
    place.parent.mkdir(mode=0o755, exist_ok=True)
    draft = place.with_name(f"{place.name}.{secrets.token_hex(8)}")
    try:
        for folder in (draft, draft / launch.PACKAGE):
            folder.mkdir()
            folder.chmod(0o755)
        fetch.unpack(archive, draft / launch.PACKAGE)
        texts = {
            launch.RUNNER: launch.runner_text().encode(),
            launch.MODULES: msgspec.json.encode(dict(launch.modules())),
        }
        for name, content in texts.items():
            _write(draft / name, content)
        try:
            draft.rename(place)
        except OSError:
            if not place.is_dir():  # else somebody else was faster: theirs is the same
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _snapshot(place: Path, runtime: Runtime, check: str) -> None:
    """Build a snapshot, start from it, and note what came of it."""
    name = launch.snapshot_key(fetch.VERSION, runtime)
    content, why = b"", ""
    try:
        content = _made(runtime, launch.Start(place=str(place), replies=0, make=True))
        trial = place / f"{name}.{secrets.token_hex(8)}"
        _write(trial, content)
        try:
            said = _started(runtime, launch.Start(place=str(place), replies=0, snapshot=str(trial))).ready
        finally:
            trial.replace(place / f"{name}.bin")
        if said != check:
            why = "the memory snapshot failed its test"
    except GatewayFault as error:
        why = f"the memory snapshot failed its test: {error.message}"
    made = _Made(check, "" if why else hashlib.sha256(content).hexdigest(), why)
    _write(place / f"{name}.json", msgspec.json.encode(made))


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    draft.write_bytes(content)
    draft.chmod(0o444)
    draft.replace(path)


def _started(runtime: Runtime, start: launch.Start) -> Word:
    return _told(runtime, start)[0]


def _made(runtime: Runtime, start: launch.Start) -> bytes:
    said, body = _told(runtime, start)
    if not said.snapshot or not body:
        raise GatewayFault("no snapshot came")
    return body


def _told(runtime: Runtime, start: launch.Start) -> tuple[Word, bytes]:
    """The first frame of a runtime that gets no job. No walls: it runs nothing but our own files."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with contextlib.ExitStack() as opened:
        opened.callback(os.close, reading)
        told = msgspec.structs.replace(start, replies=writing, limits=Limits())
        try:
            process = subprocess.Popen(  # noqa: S603 - argv of ours
                launch.command(runtime, runtime.path, told),
                env=launch.environment(runtime),
                pass_fds=(writing,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            os.close(writing)
        opened.callback(process.wait)
        opened.callback(process.kill)
        return _first(reading)


def _first(descriptor: int) -> tuple[Word, bytes]:
    reader = Reader(_MOST)
    deadline = time.monotonic() + _PATIENCE
    while True:
        ready = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]
        data = os.read(descriptor, MIB) if ready else b""
        if not data:
            raise GatewayFault("the runtime ended without a word" if ready else "the runtime took too long")
        try:
            frame = reader.feed(data)
            said = word(frame[0]) if frame is not None else None
        except BrokenError as error:
            raise GatewayFault(f"the runtime sent {error}") from error
        if frame is not None and said is not None:
            if said.broken is not None:
                raise GatewayFault(said.broken)
            return said, frame[1]
