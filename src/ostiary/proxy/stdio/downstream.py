"""A stdio client in front of the gate, which sees it as a streamable HTTP client.

Every line of our standard input becomes a POST, in order; answers and events become lines of our
standard output. What a client without HTTP needs beyond that is `bridge.client`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import msgspec

from ostiary.errors import GatewayFault
from ostiary.proxy.bridge.client import ClientBridge
from ostiary.proxy.bridge.complaint import Complaints, Log, to_stderr
from ostiary.proxy.bridge.farewell import within
from ostiary.proxy.bridge.glance import glance
from ostiary.proxy.bridge.outlet import error_body
from ostiary.proxy.bridge.port import ClientPort
from ostiary.proxy.bridge.renewal import OnRenewed, silently
from ostiary.proxy.exchange import Handler
from ostiary.proxy.stdio.pipe import PipeReader, PipeWriter, private_end
from ostiary.wire.lines import MAX_LINE, LineSplitter, TooLong

PEER = "stdio"

STOPPED = "the gate stopped before the answer came"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StdioLimits(msgspec.Struct, frozen=True):
    """Bounds of a stdio client: bytes of a line, requests at once, lines held, and seconds.

    `drain` is how long answers are waited for after the end of the input, `signal_drain` after
    a signal, `farewell` how long ending the session and emptying the output may take each.
    """

    max_line: int = MAX_LINE
    max_active: int = 1_024
    max_held: int = 1_024
    drain: float = 30.0
    signal_drain: float = 2.0
    farewell: float = 2.0


def claim_standard_streams() -> tuple[int, int]:
    """Take standard input and output for the protocol; returns our descriptors for them.

    Afterwards descriptor 0 is empty and descriptor 1 is standard error, so that neither a stray
    `print` nor a child process can read or write the client's messages. Raises GatewayFault
    when one of them is closed.
    """
    try:
        reading = private_end(0, writing=False)
        writing = private_end(1, writing=True)
    except OSError as error:
        raise GatewayFault(
            "standard input or output is closed", hint="start this from an MCP client"
        ) from error
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return reading, writing


class StdioDownstream:
    """Serves one stdio client until its input ends, its output closes or a signal comes."""

    def __init__(
        self,
        handler: Handler,
        *,
        reading: int,
        writing: int,
        limits: StdioLimits | None = None,
        on_signal: Callable[[int], object] | None = None,
        log: Log = to_stderr,
        renewed: OnRenewed = silently,
    ) -> None:
        """`reading` and `writing` become ours (see `claim_standard_streams`).

        `on_signal` is told of each SIGTERM, SIGINT and SIGHUP, to pass it on to a child, `renewed`
        of each session that was begun anew.
        """
        self._reading = reading
        self._writing = writing
        self._limits = limits or StdioLimits()
        self._on_signal = on_signal
        self._lines = LineSplitter(self._limits.max_line)
        self._stopping = asyncio.Event()
        self._flushed = asyncio.Event()
        self._is_full = False
        self._signals = 0
        self._hurried = False
        port = ClientPort(
            self._write,
            self._balance,
            Complaints(log),
            PEER,
            resume_within=self._limits.drain,
            renewed=renewed,
        )
        self._bridge = ClientBridge(handler, port)

    async def run(self) -> None:
        """Serve. Returns when everything that can be answered is answered and written."""
        loop = asyncio.get_running_loop()
        self._open_pipes()
        for signum in STOP_SIGNALS:
            loop.add_signal_handler(signum, self._signalled, signum)
        try:
            await self._stopping.wait()
            await self._wind_down()
        finally:
            for signum in STOP_SIGNALS:
                loop.remove_signal_handler(signum)

    def stop(self) -> None:
        """Read no more and end, for instance because the server is gone."""
        self._stopping.set()

    def tell(self, message: bytes) -> None:
        """Send the client a message of the gate's own, unless it is about to leave."""
        if not self._stopping.is_set():
            self._write(message)

    def _open_pipes(self) -> None:
        self._output = PipeWriter(
            self._writing,
            broken=self._output_broken,
            closed=self._flushed.set,
            full=self._full,
            drained=self._drained,
        )
        self._input = PipeReader(self._reading, data=self._feed, ended=self._input_ended)

    # --- from the client --------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._take(line)
        self._balance()

    def _take(self, line: bytes | TooLong) -> None:
        if isinstance(line, TooLong):
            refusal = line.refusal()
            self._write(error_body(b"", refusal.code, refusal.message))
            return
        self._bridge.take(line, glance(line))

    def _write(self, message: bytes) -> None:
        self._output.write(message + b"\n")

    # --- flow -------------------------------------------------------------------------------

    def _balance(self) -> None:
        """Read only while the requests under way and the lines held back are within bounds."""
        limits = self._limits
        busy = self._bridge.active >= limits.max_active or self._bridge.held >= limits.max_held
        if busy or self._stopping.is_set() or self._is_full:
            self._input.pause()
        else:
            self._input.resume()

    def _full(self) -> None:
        self._is_full = True
        self._input.pause()
        self._bridge.pause()

    def _drained(self) -> None:
        self._is_full = False
        self._balance()
        self._bridge.resume()

    # --- the end ----------------------------------------------------------------------------

    def _input_ended(self) -> None:
        for line in self._lines.finish():
            self._take(line)
        self._stopping.set()

    def _output_broken(self) -> None:
        """The client reads no more: there is nobody to drain for."""
        self._hurry()
        self._stopping.set()

    def _signalled(self, signum: int) -> None:
        """The first signal ends the input and soon the waiting for answers, a second one at once.

        The end of the input is no signal: a client that closes it and then tells us to stop is
        still given the answers that come meanwhile.
        """
        if self._on_signal is not None:
            self._on_signal(signum)
        self._signals += 1
        if self._signals > 1:
            self._hurry()
        else:
            asyncio.get_running_loop().call_later(self._limits.signal_drain, self._bridge.wait_no_more)
        self._stopping.set()

    def _hurry(self) -> None:
        self._hurried = True
        self._bridge.wait_no_more()

    async def _wind_down(self) -> None:
        """(1) Wait for answers; (2) answer the rest; (3) end the session; (4) write everything."""
        self._input.close()
        # (1)
        self._bridge.closing()
        await self._bridge.settle(self._limits.drain)
        # (2)
        self._bridge.give_up(STOPPED)
        # (3)
        if not self._hurried:
            await self._bridge.farewell(self._limits.farewell)
        # (4)
        self._output.close()
        if not await within(self._limits.farewell, self._flushed):
            self._output.abort()
