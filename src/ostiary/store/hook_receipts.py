"""`<state>/hooks.json`: what was made in which settings file when the hook was put in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.store.state import StateDir, read_private, replace

MAX_FILES: Final = 1_000


class Kept(msgspec.Struct, frozen=True):
    """What was made, in the words of the settings' editor, and what stood there before."""

    made: str
    gap: str = ""


class _Receipts(msgspec.Struct, frozen=True):
    files: dict[str, Kept] = msgspec.field(default_factory=dict[str, Kept])


def read_receipts(state: StateDir) -> dict[str, Kept]:
    """By the path of the settings. Raises CallerFault for a file that cannot be relied on."""
    path = _path(state)
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(read_private(path), type=_Receipts).files
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        hint = "move it away: then the hook is taken out, and empty keys that were made for it stay"
        raise CallerFault(f"`{path}` is not what Ostiary writes there", hint=hint) from None


def write_receipts(state: StateDir, files: Mapping[str, Kept]) -> None:
    """Keep them, the newest last. Raises GatewayFault where the disk refuses."""
    newest = dict(list(files.items())[-MAX_FILES:])
    replace(_path(state), msgspec.json.encode(_Receipts(newest)) + b"\n")


def _path(state: StateDir) -> Path:
    return state.path / "hooks.json"
