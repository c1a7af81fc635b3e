"""The four pipes of a worker: jobs in, answers out, and what the code prints."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import NamedTuple

_WANTED = 1 << 20
"""Bytes that a pipe for output should hold, so that a worker that prints much waits less."""


class Channels(NamedTuple):
    """The ends of one side: ours (non-blocking), or the worker's."""

    jobs: int
    stdout: int
    stderr: int
    replies: int

    def close(self) -> None:
        """Close all of them."""
        for descriptor in self:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def channels(uid: int | None) -> tuple[Channels, Channels]:
    """Ours and the worker's. `uid` is whom the worker runs as, where that is somebody else."""
    pairs = [os.pipe2(os.O_CLOEXEC) for _ in range(4)]
    (jobs_read, jobs_write), *outgoing = pairs
    ours = Channels(jobs_write, *(reading for reading, _ in outgoing))
    theirs = Channels(jobs_read, *(writing for _, writing in outgoing))
    for descriptor in ours:
        os.set_blocking(descriptor, False)
    for descriptor in ours[1:3]:
        with contextlib.suppress(OSError):  # beyond what this user may have in pipes
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _WANTED)
    if uid is not None:
        # Deno opens the descriptor anew, by its path, which asks for permission to the pipe.
        os.fchown(theirs.replies, uid, -1)
    return ours, theirs
