"""Which containers of ours are to go: those that nobody uses, and those whose maker has gone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ostiary.sandbox.containers.labels import Tag

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_instance() -> str:
    """A name for this process that later ones can look up: machine and boot, process, when it began."""
    return ".".join([_boot(), str(os.getpid()), _began(os.getpid()) or "0", secrets.token_hex(4)])


def alive(instance: str) -> bool | None:
    """Whether the process of this name still runs; None if that cannot be known from here."""
    boot, pid, began, *_ = [*instance.split("."), "", "", ""]
    if not boot or boot != _boot() or not pid.isdigit():
        return None
    return _began(int(pid)) == began


def is_due(tag: Tag, used: int, now: int, ttl_s: int, *, ours: bool, living: bool | None) -> bool:
    """Whether a container is to be removed: `used` and `now` in seconds since 1970.

    One of another process of ours that lives, or of which nobody here can know, is left until it expires.
    """
    if now >= tag.expires:
        return True
    if not ours and living is not False:
        return False
    return now - used >= ttl_s


def _boot() -> str:
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
