"""Shows a box what its user could not reach by a path: folders that root mounts elsewhere, for it alone.

Started by root as a program (`main`), in the place of the box's first program: in a mount namespace that
nobody else sees it puts every source at a place that all may reach, becomes the box's user, and then that
program. Standard library only: it is given to an interpreter as text.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

_NEW_MOUNTS = 0x00020000
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18


def main(arguments: list[str]) -> None:
    """`DESCRIPTOR PROGRAM ARGUMENT…`: the descriptor holds `uid` and `mounts` as JSON. Raises OSError."""
    with os.fdopen(int(arguments[0]), "rb") as told:
        order = json.load(told)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]

    def checked(answer: int, what: str) -> None:
        if answer:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), what)

    checked(libc.unshare(_NEW_MOUNTS), "unshare")
    checked(libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None), "/")
    for source, place in order["mounts"]:
        checked(libc.mount(source.encode(), place.encode(), None, _BIND | _RECURSIVE, None), source)
    os.setgroups([])
    os.setresgid(order["uid"], order["uid"], order["uid"])
    os.setresuid(order["uid"], order["uid"], order["uid"])
    os.execv(arguments[1], arguments[1:])  # noqa: S606 - what it is for


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"cannot show the box {error.filename}: {error.strerror}\n")
        sys.exit(1)
