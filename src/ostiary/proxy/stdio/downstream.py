"""A stdio client in front of the gate, which sees it as a streamable HTTP client.

Every line of our standard input becomes a POST, in order; answers and events become lines of our
standard output. The session and the protocol version are kept here, as are the headers of the
modern era, because a stdio client knows nothing of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable

import msgspec

from ostiary.errors import GatewayFault
from ostiary.proxy.exchange import Callback, ClientRequest, Handler, Head
from ostiary.proxy.stdio.answers import INTERNAL_ERROR, Answer, Turns
from ostiary.proxy.stdio.complaint import Complaints, Log, to_stderr
from ostiary.proxy.stdio.glance import Glance, glance
from ostiary.proxy.stdio.headers import ClientHeaders
from ostiary.proxy.stdio.outlet import error_body
from ostiary.proxy.stdio.pipe import PipeReader, PipeWriter, nothing, private_end
from ostiary.proxy.stdio.stream import GetStream, StreamPort
from ostiary.wire.lines import MAX_LINE, LineSplitter, TooLong

MCP_PATH = "/mcp"
PEER = "stdio"
CANCELLED = "notifications/cancelled"
LISTEN = "subscriptions/listen"

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
    ) -> None:
        """`reading` and `writing` become ours (see `claim_standard_streams`).

        `on_signal` is told of each SIGTERM, SIGINT and SIGHUP, to pass it on to a child.
        """
        self._handler = handler
        self._reading = reading
        self._writing = writing
        self._limits = limits or StdioLimits()
        self._on_signal = on_signal
        self._complain = Complaints(log)
        self._headers = ClientHeaders()
        self._lines = LineSplitter(self._limits.max_line)
        self._held: deque[tuple[bytes, Glance | None]] = deque()
        self._active: dict[int, Answer] = {}
        self._barrier: Answer | None = None
        self._stream: GetStream | None = None
        self._stopping = asyncio.Event()
        self._quiet = asyncio.Event()
        self._flushed = asyncio.Event()
        self._is_full = False
        self._signals = 0
        self._waited = False
        self._hurried = False
        self._turns = Turns(self._write, self._look, self._settled, self._resume, self._complain)

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
        """Take one line. Only responses overtake lines that wait for the handshake."""
        if isinstance(line, TooLong):
            refusal = line.refusal()
            self._write(error_body(b"", refusal.code, refusal.message))
            return
        seen = glance(line)
        if seen is not None and seen.kind == "response":
            self._post(line, seen)
        elif self._barrier is not None or self._held:
            self._held.append((line, seen))
        else:
            self._post(line, seen)

    def _post(self, line: bytes, seen: Glance | None) -> None:
        if seen is not None and seen.method == CANCELLED and self._cancel(seen):
            return
        request = ClientRequest("POST", MCP_PATH, b"", self._headers.post(line, seen), line, PEER)
        answer = Answer(request, seen, self._turns)
        self._active[id(answer)] = answer
        if (
            seen is not None
            and seen.method in ("initialize", "notifications/initialized")
            and not seen.modern
        ):
            self._barrier = answer
        self._handler(request, answer)

    def _cancel(self, seen: Glance) -> bool:
        """Mark the request as cancelled. Returns whether that is all there is to do.

        On the modern era HTTP has no message for it: going away is the cancellation.
        """
        for answer in list(self._active.values()):
            named = answer.seen
            if named is not None and named.kind == "request" and named.id == seen.refers:
                answer.cancel()
                return named.modern
        return False

    def _settled(self, answer: Answer) -> None:
        self._active.pop(id(answer), None)
        if answer is self._barrier:
            self._barrier = None
            self._handshake_step(answer)
            while self._held and self._barrier is None:
                self._post(*self._held.popleft())
        self._hush()
        self._balance()

    def _handshake_step(self, answer: Answer) -> None:
        """After `notifications/initialized` the stream from the server is opened."""
        initialized = answer.seen is not None and answer.seen.method == "notifications/initialized"
        if initialized and self._headers.version is not None and self._stream is None:
            self._stream = GetStream(StreamPort(self._open_stream, self._from_stream))
            self._stream.connect()

    # --- to the client ----------------------------------------------------------------------

    def _write(self, message: bytes) -> None:
        self._output.write(message + b"\n")

    def _look(self, answer: Answer, seen: Glance, message: bytes) -> None:
        """Learn from a response what later requests need."""
        if answer.seen is None or seen.error:
            return
        if answer.seen.method == "initialize":
            self._headers.initialized(answer.session, message)
        elif answer.seen.method == "tools/list":
            self._headers.listed(message)

    def _resume(self, answer: Answer) -> bool:
        """Ask for the rest of a stream that the server let go, if it gave an id to ask with."""
        last_id, delay = answer.last_event
        if last_id is None or self._stopping.is_set():
            return False

        def again() -> None:
            if not answer.done:
                answer.on_gone = answer.on_pause = answer.on_resume = nothing
                self._get(answer, last_id)

        asyncio.get_running_loop().call_later(min(delay, self._limits.drain), again)
        return True

    def _open_stream(self, stream: GetStream, last_id: bytes | None) -> None:
        self._get(stream, last_id)

    def _get(self, responder: Answer | GetStream, last_id: bytes | None) -> None:
        self._handler(ClientRequest("GET", MCP_PATH, b"", self._headers.get(last_id), b"", PEER), responder)

    def _from_stream(self, message: bytes) -> None:
        """A message on the GET stream: a resumed stream may even bring a response there."""
        seen = glance(message)
        if seen is None:
            self._complain("the server sent an event that is not a JSON-RPC message; dropped")
            return
        if seen.kind == "response":
            waiting = [
                one for one in self._active.values() if one.waits and one.seen and one.seen.id == seen.id
            ]
            if not waiting:
                self._complain("the server answered a request that was not asked here; dropped")
                return
            waiting[0].take_response(message, seen)
            return
        self._write(message)

    # --- flow -------------------------------------------------------------------------------

    def _balance(self) -> None:
        """Read only while the requests under way and the lines held back are within bounds."""
        busy = len(self._active) >= self._limits.max_active or len(self._held) >= self._limits.max_held
        if busy or self._stopping.is_set() or self._is_full:
            self._input.pause()
        else:
            self._input.resume()

    def _full(self) -> None:
        self._is_full = True
        self._input.pause()
        for responder in self._responders():
            responder.on_pause()

    def _drained(self) -> None:
        self._is_full = False
        self._balance()
        for responder in self._responders():
            responder.on_resume()

    def _responders(self) -> list[Answer | GetStream]:
        responders: list[Answer | GetStream] = list(self._active.values())
        return responders if self._stream is None else [*responders, self._stream]

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
            asyncio.get_running_loop().call_later(self._limits.signal_drain, self._wait_no_more)
        self._stopping.set()

    def _wait_no_more(self) -> None:
        self._waited = True
        self._quiet.set()

    def _hurry(self) -> None:
        self._hurried = True
        self._wait_no_more()

    def _hush(self) -> None:
        """Note whether anything is still to be answered: not subscriptions, nor what was cancelled."""
        waiting = any(
            not answer.cancelled and (answer.seen is None or answer.seen.method != LISTEN)
            for answer in self._active.values()
        )
        if self._waited or not (waiting or self._held):
            self._quiet.set()
        else:
            self._quiet.clear()

    async def _wind_down(self) -> None:
        """(1) Wait for answers; (2) answer the rest; (3) end the session; (4) write everything."""
        self._input.close()
        # (1)
        self._hush()
        await _within(self._limits.drain, self._quiet)
        # (2)
        for _, seen in self._held:
            if seen is not None and seen.kind == "request":
                self._write(error_body(seen.id_raw, INTERNAL_ERROR, STOPPED))
        self._held.clear()
        for answer in list(self._active.values()):
            answer.give_up(STOPPED)
        if self._stream is not None:
            self._stream.close()
        # (3)
        if self._headers.session is not None and not self._hurried:
            farewell = _Farewell()
            self._handler(ClientRequest("DELETE", MCP_PATH, b"", self._headers.delete(), b"", PEER), farewell)
            await _within(self._limits.farewell, farewell.done)
        # (4)
        self._output.close()
        if not await _within(self._limits.farewell, self._flushed):
            self._output.abort()


class _Farewell:
    """The `Responder` of the DELETE at the end; whatever the answer is, it is enough."""

    def __init__(self) -> None:
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing
        self.done = asyncio.Event()

    def start(self, head: Head) -> None:
        """Take note of nothing."""

    def write(self, data: bytes) -> None:
        """Take note of nothing."""

    def finish(self) -> None:
        self.done.set()

    def abort(self) -> None:
        self.done.set()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for `event`. Returns whether it came in time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
