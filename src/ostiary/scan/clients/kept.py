"""What is kept of entries that `ostiary protect` changed, by the file that they are in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from ostiary.errors import GatewayFault
from ostiary.scan.clients.guarding import Undo
from ostiary.scan.scanned import Target
from ostiary.store.state import check_private, read_private


def record_of(root: Path, config: Path) -> Path:
    """Where the state directory at `root` keeps it of the configuration at `config`."""
    real = os.path.realpath(config)
    return root / "protected" / f"{hashlib.sha256(real.encode()).hexdigest()[:24]}.json"


def kept_of(root: Path, config: Path) -> tuple[Undo, ...]:
    """What is kept; nothing where no server was protected. Raises GatewayFault for what cannot be read."""
    path = record_of(root, config)
    if not path.exists():
        return ()
    try:
        return msgspec.json.decode(read_private(path), type=tuple[Undo, ...])
    except msgspec.MsgspecError as error:
        raise GatewayFault(f"`{path}`, which says how entries were, cannot be read") from error


def put_there(root: Path, target: Target) -> bool:
    """Whether the very command of a server was written by `ostiary protect` here. Raises OstiaryError.

    A repository can name a gate as well, with a program or a policy of its own.
    """
    if not root.exists():
        return False
    check_private(root)
    return any(
        one.route[-1] == target.name and _command(one.after) == list(target.command)
        for one in kept_of(root, Path(target.source))
    )


def _command(after: Mapping[str, object]) -> list[object]:
    words = after.get("args")
    return [after.get("command"), *(cast("list[object]", words) if isinstance(words, list) else [])]
