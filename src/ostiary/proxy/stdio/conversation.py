"""One MCP server on a pipe, talked to as if it spoke streamable HTTP.

The process and its lines are here; which message belongs to whom is `bridge.conversation`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ostiary.errors import UpstreamFault
from ostiary.proxy.bridge.complaint import Complaints
from ostiary.proxy.bridge.conversation import Bounds, Conversation, Use, failed
from ostiary.proxy.bridge.glance import Glance, Kind
from ostiary.proxy.exchange import Flow, Sink
from ostiary.proxy.stdio.child import SIGNAL_BASE, Child, ChildEvents, Grace, Launch
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.watchdog import Watchdog
from ostiary.wire.lines import MAX_LINE, TooLong, to_line
from ostiary.wire.strict import Refused


class PipeLimits(Bounds, frozen=True):
    """Bounds of one conversation over a pipe: those of every one, two in bytes, and two on nonsense.

    Of what is dropped (lines that are no messages, blank ones too, and what is for nobody) so many are read
    in `dropped_within` seconds, and so many bytes of it, be it in lines or in one that never ends; then
    nothing is, until that time is over. Of a line that is not over yet nobody knows what it will be, so
    `max_dropped_bytes` is to be more than `max_line`.
    """

    max_line: int = MAX_LINE
    max_queued: int = 2 * MAX_LINE
    max_dropped: int = 10_000
    max_dropped_bytes: int = 2 * MAX_LINE
    dropped_within: float = 1.0


class PipeConversation:
    """One child and the conversation with it, for which it is the `Channel`."""

    def __init__(
        self,
        command: Command,
        watchdog: Watchdog,
        use: Use,
        limits: PipeLimits,
        complain: Complaints,
        ended: Callable[[PipeConversation, int], object],
        launch: Launch | None = None,
    ) -> None:
        """Start the child. Raises GatewayFault when it cannot be started."""
        self._name = command.label
        self._limits = limits
        self._complain = complain
        self._ended = ended
        self._dropped = 0
        self._useless = 0
        self._counting = False
        self._held = False
        self._talk = Conversation(self, command.label, use, limits, self._misbehaves)
        self._child = Child(
            command,
            watchdog,
            ChildEvents(
                line=self._line,
                too_long=self._too_long,
                deaf=self._deaf,
                exited=self._exited,
                read=self._read,
            ),
            max_line=limits.max_line,
            launch=launch,
        )

    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything from this child."""
        return self._talk.idle

    @property
    def used(self) -> float:
        """When the client last sent something, on the clock of the loop."""
        return self._talk.used

    @property
    def status(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._child.status

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._child.pid

    def signal(self, signum: int) -> None:
        """Send a signal to the child and all it started."""
        self._child.signal(signum)

    async def stop(self, grace: Grace) -> int:
        """End the child and return its exit status. What still waits gets a fault."""
        return await self._child.stop(grace)

    def post(self, body: bytes, seen: Glance, sink: Sink) -> Flow:
        """Take one message from the client. No raw line end may reach the child."""
        try:
            line = to_line(body)
        except Refused as refused:
            return failed(sink, UpstreamFault(refused.message, written=False))
        return self._talk.post(line, seen, sink)

    def listen(self, sink: Sink) -> Flow:
        """Open the stream from server to client; it takes the place of one that was open."""
        return self._talk.listen(sink)

    # --- as the channel -----------------------------------------------------------------------

    def refusal(self, size: int) -> str | None:
        server = f"the MCP server `{self._name}`"
        if self._child.status is not None:
            return f"{server} {self._fate()}"
        if self._child.deaf:
            return f"{server} has closed its input"
        if self._child.queued and self._child.queued + size > self._limits.max_queued:
            return f"{server} does not read its input"
        if size > self._limits.max_line:
            return f"the message is over {self._limits.max_line} bytes"
        return None

    def write(self, message: bytes, kind: Kind) -> int:
        return self._child.write(message + b"\n")

    def untouched(self, ticket: int) -> bool:
        return self._child.untouched(ticket)

    def withdraw(self, ticket: int) -> bool:
        return self._child.status is not None or self._child.withdraw(ticket)

    def pause(self) -> None:
        self._held = True
        self._child.pause()

    def resume(self) -> None:
        self._held = False
        if not self._tiring:
            self._child.resume()

    # --- from the child -----------------------------------------------------------------------

    @property
    def _tiring(self) -> bool:
        """Whether so much was dropped that nothing is read for now."""
        limits = self._limits
        return self._dropped >= limits.max_dropped or self._useless >= limits.max_dropped_bytes

    def _line(self, line: bytes) -> None:
        before = self._dropped
        self._talk.received(line)
        if self._dropped == before:
            self._useless -= len(line) + 1

    def _read(self, size: int, blank: int) -> None:
        """Bytes are useless until they are known to be of a message. Blank lines are dropped in silence."""
        # Less than none are left of a message that had begun when the count was begun anew.
        self._useless = max(0, self._useless + size)
        self._dropped += blank
        if self._useless or blank:
            self._count()

    def _misbehaves(self, text: str) -> None:
        """It said something that is dropped. What says a lot of that may not keep the gate busy with it."""
        self._complain(text)
        self._dropped += 1
        self._count()

    def _count(self) -> None:
        if not self._counting:
            self._counting = True
            asyncio.get_running_loop().call_later(self._limits.dropped_within, self._listen_again)
        if self._tiring:
            self._child.pause()

    def _listen_again(self) -> None:
        self._counting = False
        self._dropped = self._useless = 0
        if not self._held:
            self._child.resume()

    def _too_long(self, _: TooLong) -> None:
        text = f"`{self._name}` wrote a line of more than {self._limits.max_line} bytes"
        self._misbehaves(f"{text}; all open requests fail")
        self._talk.lost(f"the MCP server {text}")

    def _deaf(self) -> None:
        """The child has closed its input."""
        self._talk.deaf(f"the MCP server `{self._name}` has closed its input")

    def _exited(self, status: int) -> None:
        self._talk.ended(f"the MCP server `{self._name}` {self._fate()} before it answered")
        self._ended(self, status)

    def _fate(self) -> str:
        status = self._child.status or 0
        if status > SIGNAL_BASE:
            return f"was ended by signal {status - SIGNAL_BASE}"
        return f"exited with status {status}"
