"""The traffic between the host and one child."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from ostiary.sandbox.cpython import protocol
from ostiary.sandbox.cpython.zygote import Lines
from ostiary.sandbox.runner import Tap

_PIECE: Final = 1 << 16
_LAST_WORDS: Final = 1 << 20
"""At most so many bytes are read of a stream after the end: more than a pipe holds."""


class Turn:
    """The traffic of one job, by callbacks of the loop. `over` is the answer, or None at the worker's end.

    A pipe is read as long as the loop gets round to it: a worker that writes faster than that waits.
    """

    def __init__(self, lines: Lines, reader: protocol.Reader, tap: Tap) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines = lines
        self._reader = reader
        self._unsent = memoryview(b"")
        self._streams = {lines.stdout: tap.stdout, lines.stderr: tap.stderr}
        self._lost = False
        self._out_of_turn = False
        self._on_end: Callable[[], object] = lambda: None
        self.over: asyncio.Future[tuple[bytes, bytes] | None] = self._loop.create_future()

    def begin(self, job: bytes) -> None:
        """Send the job and read from now on."""
        for stream in self._streams:
            self._loop.add_reader(stream, self._write, stream)
        self._loop.add_reader(self._lines.channel.fileno(), self._hear)
        self._loop.add_reader(self._lines.status.fileno(), self._ended)
        self._unsent = memoryview(job)
        self._send()

    def on_end(self, what: Callable[[], object]) -> None:
        """Do `what` when the child ends, also if it has; in the place of what was asked for before."""
        self._on_end = what
        if self._lost:
            what()

    def again(self, data: bytes) -> None:
        """Send an answer, and wait for the next message."""
        self.over = self._loop.create_future()
        self._reader.again()
        if self._lost:
            self._finish(None)
        elif self._out_of_turn:
            self._finish(protocol.BrokenError("something while it waited for an answer"))
        else:
            self._unsent = memoryview(data)
            self._send()

    def end(self) -> None:
        """Read no more."""
        for descriptor in (*self._streams, self._lines.channel.fileno(), self._lines.status.fileno()):
            self._loop.remove_reader(descriptor)
        self._loop.remove_writer(self._lines.channel.fileno())

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self._lines.channel.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # it has ended; the other lines say how
            self._unsent = memoryview(b"")
        if self._unsent:
            self._loop.add_writer(self._lines.channel.fileno(), self._send)
        else:
            self._loop.remove_writer(self._lines.channel.fileno())

    def _write(self, stream: int) -> None:
        data = _read(stream)
        if data:
            self._streams[stream](data)
        elif data is not None:
            self._loop.remove_reader(stream)

    def _hear(self) -> None:
        try:
            data = self._lines.channel.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # closed: its end is told by the status line
            self._loop.remove_reader(self._lines.channel.fileno())
            return
        if self.over.done():  # it waits for an answer, and has nothing to say
            self._out_of_turn = True
            return
        try:
            message = self._reader.feed(data)
        except protocol.BrokenError as error:
            self._finish(error)
            return
        if message is not None:
            self._finish(message)

    def _ended(self) -> None:
        self._loop.remove_reader(self._lines.status.fileno())
        self._lost = True
        self._on_end()
        self._finish(None)

    def _finish(self, told: tuple[bytes, bytes] | protocol.BrokenError | None) -> None:
        if self.over.done():
            return
        if isinstance(told, protocol.BrokenError):
            self.over.set_exception(told)
        else:
            self.over.set_result(told)

    def drain(self) -> None:
        """Take what is still in the pipes, at most `_LAST_WORDS` of each."""
        for stream, take in self._streams.items():
            left = _LAST_WORDS
            while left > 0 and (data := _read(stream)):
                take(data)
                left -= len(data)


def _read(descriptor: int) -> bytes | None:
    """What can be read now; None for nothing yet, empty at the end."""
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return None
