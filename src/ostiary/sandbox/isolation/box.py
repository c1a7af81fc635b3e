"""A program and what it is given: data that says how it is walled off."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.isolation.root import Root
from ostiary.sandbox.limits import MIB


class Bind(msgspec.Struct, frozen=True):
    """A file or folder of the host that the program sees at `target`, read-only unless `writable`.

    Started as root, the program runs under the uid of its cell: `source` has to be reachable and
    readable for that uid, and writable means that the uid may write there. What the uid cannot reach is
    mounted at `stage` first, an empty folder or file that it can: see `staging`.
    """

    source: str
    target: str
    writable: bool = False
    stage: str = ""


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A program and what it is given. Everything else is out of reach.

    `command` is argv inside; `environment` is the whole environment, nothing is inherited. `root` is
    seen read-only. /tmp, /work and /dev/shm are empty and hold `tmp_bytes` each; it starts in `folder`.
    `seccomp` is a filter that is loaded before the program starts; None is for a program that makes
    further namespaces and loads one itself. `cell` is what it runs under. `network` leaves it the
    network of the host. `file_bytes` bounds each
    file that it writes, `open_files` its descriptors, `address_space` (bytes) what each process may
    map: for where no cgroup counts memory, and not for engines that map much and use little.
    """

    command: tuple[str, ...]
    root: Root
    binds: tuple[Bind, ...] = ()
    environment: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    pass_fds: tuple[int, ...] = ()
    tmp_bytes: int = 64 * MIB
    seccomp: bytes | None = None
    cell: Cell | None = None
    network: bool = False
    file_bytes: int | None = None
    open_files: int = 1024
    address_space: int | None = None
    folder: str = "/work"
