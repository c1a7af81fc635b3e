"""The two ends of a pipe on an event loop, by its descriptor and without streams.

Written on `add_reader` and `add_writer`, so that it is known for every line whether a byte of it
has left (policy P4.4), which a transport does not tell. Regular files and `/dev/null`, which
cannot be polled, are read in turns of the loop and written at once.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections import deque
from collections.abc import Callable

from ostiary.proxy.exchange import nothing

Told = Callable[[], object]

CHUNK = 65_536
"""Bytes per read: the default capacity of a Linux pipe."""

MAX_DRAIN = 64 * 1024 * 1024
"""Bytes read at most from a pipe whose writer is gone."""


def private_end(fd: int, *, writing: bool) -> int:
    """A non-blocking descriptor of our own for an inherited one, which stays as it is.

    Non-blocking is a property of the open file, shared with every process and descriptor that
    has it (stderr among them). A pipe is therefore opened a second time where the system allows
    it; terminals and files are only duplicated.
    """
    kind = os.fstat(fd).st_mode
    if stat.S_ISFIFO(kind) and sys.platform == "linux":
        flags = (os.O_WRONLY if writing else os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            return os.open(f"/proc/self/fd/{fd}", flags)
        except OSError:  # the pipe of another user, one without a reader, or no /proc
            pass
    own = os.dup(fd)
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        os.set_blocking(own, False)
    return own


class PipeReader:
    """Reads `fd`, which it owns, as data arrives.

    `data` gets every piece; `ended` is told once, at the end of the input or on an error, and
    not after `close`.
    """

    __slots__ = ("_closed", "_data", "_ended", "_fd", "_loop", "_paused", "_polled")

    def __init__(self, fd: int, *, data: Callable[[bytes], object], ended: Told) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._data = data
        self._ended = ended
        self._closed = False
        self._paused = True
        self._polled = True
        self.resume()

    def pause(self) -> None:
        """Read nothing until `resume`."""
        if not self._paused and not self._closed:
            self._paused = True
            if self._polled:
                self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Go on reading."""
        if not self._paused or self._closed:
            return
        self._paused = False
        if self._polled:
            try:
                self._loop.add_reader(self._fd, self._read)
            except PermissionError:  # EPERM of epoll: a regular file or /dev/null
                self._polled = False
        if not self._polled:
            self._loop.call_soon(self._read_turn)

    def drain(self) -> None:
        """Read what is left, without waiting, from a pipe whose writer is gone."""
        left = MAX_DRAIN
        while not self._closed and left > 0:
            taken = self._read()
            if taken <= 0:
                return
            left -= taken

    def close(self) -> None:
        """Stop reading and close the descriptor."""
        if self._closed:
            return
        if not self._paused and self._polled:
            self._loop.remove_reader(self._fd)
        self._closed = True
        os.close(self._fd)

    def _read_turn(self) -> None:
        if self._paused or self._closed:
            return
        self._read()
        if not self._paused and not self._closed:
            self._loop.call_soon(self._read_turn)

    def _read(self) -> int:
        """Read once. Returns the bytes read, 0 at the end, -1 when there is nothing yet."""
        try:
            chunk = os.read(self._fd, CHUNK)
        except (BlockingIOError, InterruptedError):
            return -1
        except OSError:  # EIO of a terminal that is gone, and the like: nothing more will come
            chunk = b""
        if not chunk:
            self.close()
            self._ended()
            return 0
        self._data(chunk)
        return len(chunk)


class PipeWriter:
    """Writes lines to `fd`, which it owns, in order; what does not fit waits in a bounded queue.

    A line has a ticket, by which can be asked whether any byte of it has left. `broken` is told
    once when the reader is gone, `closed` once when the descriptor is closed. `full` and
    `drained` are told when more than `high` bytes wait, and when less than half of that does.
    """

    __slots__ = (
        "_broken",
        "_closed",
        "_closing",
        "_drained",
        "_fd",
        "_full",
        "_high",
        "_is_full",
        "_last",
        "_loop",
        "_offset",
        "_polling",
        "_queue",
        "_queued",
        "_told_closed",
    )

    def __init__(
        self,
        fd: int,
        *,
        broken: Told = nothing,
        closed: Told = nothing,
        full: Told = nothing,
        drained: Told = nothing,
        high: int = 1 << 20,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._broken = broken
        self._told_closed = closed
        self._full = full
        self._drained = drained
        self._high = high
        self._queue: deque[tuple[int, memoryview]] = deque()
        self._queued = 0
        self._offset = 0
        self._last = 0
        self._is_full = False
        self._polling = False
        self._closing = False
        self._closed = False

    @property
    def queued(self) -> int:
        """Bytes that wait."""
        return self._queued

    @property
    def closed(self) -> bool:
        """Whether nothing more can be written."""
        return self._closed or self._closing

    def write(self, line: bytes) -> int:
        """Queue `line` and write what fits now. Returns its ticket; a closed end drops it."""
        self._last += 1
        if not self.closed and line and not self._left_at_once(line):
            self._queue.append((self._last, memoryview(line)))
            self._queued += len(line) - (self._offset if len(self._queue) == 1 else 0)
            if self._polling:
                self._weigh()
            else:
                self._flush()
        return self._last

    def _left_at_once(self, line: bytes) -> bool:
        """Write a line that nothing waits before; False if it has to be queued, whole or its rest."""
        if self._queue:
            return False
        try:
            self._offset = os.write(self._fd, line)
        except OSError:  # full, or broken: which of them is found once more with the line in the queue
            return False
        if self._offset < len(line):
            return False
        self._offset = 0
        return True

    def untouched(self, ticket: int) -> bool:
        """Whether no byte of the line with this ticket has left."""
        if not self._queue:
            return False
        first = self._queue[0][0]
        return ticket > first or (ticket == first and self._offset == 0)

    def withdraw(self, ticket: int) -> bool:
        """Take a line back. Returns whether that was still possible."""
        if not self.untouched(ticket):
            return False
        for entry in self._queue:
            if entry[0] == ticket:
                self._queue.remove(entry)
                self._queued -= len(entry[1])
                return True
        return False

    def close(self) -> None:
        """Close the descriptor once everything queued has been written."""
        self._closing = True
        if not self._queue:
            self.abort()

    def abort(self) -> None:
        """Close the descriptor now. Queued lines stay askable by their tickets."""
        if self._closed:
            return
        self._closed = True
        self._stop_polling()
        os.close(self._fd)
        self._loop.call_soon(self._told_closed)

    def _flush(self) -> None:
        while self._queue and not self._closed:
            _, line = self._queue[0]
            try:
                count = os.write(self._fd, line[self._offset :])
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # EPIPE and everything else: what is queued will never arrive
                self.abort()
                self._loop.call_soon(self._broken)
                return
            self._offset += count
            self._queued -= count
            if self._offset == len(line):
                self._queue.popleft()
                self._offset = 0
        self._settle()

    def _settle(self) -> None:
        if self._queue and not self._polling:
            self._polling = True
            self._loop.add_writer(self._fd, self._flush)
        elif not self._queue:
            self._stop_polling()
            if self._closing:
                self.abort()
        self._weigh()

    def _weigh(self) -> None:
        if not self._is_full and self._queued > self._high:
            self._is_full = True
            self._full()
        elif self._is_full and self._queued * 2 < self._high:
            self._is_full = False
            self._drained()

    def _stop_polling(self) -> None:
        if self._polling:
            self._polling = False
            self._loop.remove_writer(self._fd)
