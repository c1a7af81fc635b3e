"""The answer to one member of a batch, before it becomes part of the answer to all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ostiary.proxy.exchange import Callback, Head, nothing
from ostiary.proxy.peek import EVENTS, JSON, content_type
from ostiary.wire import answers, sse
from ostiary.wire.arrays import taken_apart
from ostiary.wire.envelope import read_message
from ostiary.wire.ids import id_key
from ostiary.wire.loose import read_answer
from ostiary.wire.message import Message, MessageId

UPSTREAM = 4502

MAX_EVENT = 16 * 1024 * 1024
TOO_MUCH = "the answers to the batch are too large together"


class Whole(Protocol):
    """What a member needs of its batch."""

    paused: bool
    """Whether the client has fallen behind."""

    @property
    def over(self) -> bool:
        """Whether nothing is written any more."""
        ...

    def hold(self, size: int) -> bool:
        """Count `size` bytes that are held back, or given back; False when they are too many."""
        ...

    def message(self, raw: bytes) -> None:
        """Pass on one message that came in the answer of a member."""
        ...

    def answered(self, member: Member, raw: bytes) -> None:
        """The answer of `member` is there."""
        ...

    def failed(self, member: Member, head: Head, body: bytes) -> None:
        """`member` has an HTTP status and no answer."""
        ...

    def taken(self, member: Member) -> None:
        """The notification or response `member` was accepted."""
        ...


def read_told(raw: bytes) -> Message | None:
    """A message of the upstream, or None for what is none."""
    read = read_message(raw, max_bytes=MAX_EVENT, null_id=True)
    return read if isinstance(read, Message) else read_answer(raw)


class Member:
    """The `Responder` of one member: takes apart what the member alone would be answered."""

    __slots__ = (
        "_batch", "_body", "_head", "_parser", "answered", "done", "id", "on_gone", "on_pause", "on_resume",
    )  # fmt: skip

    def __init__(self, batch: Whole, message: Message) -> None:
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing
        self.id = message.id if message.kind == "request" else None
        self.answered = False
        self.done = False
        self._batch = batch
        self._head = Head(0)
        self._parser: sse.SseParser | None = None
        self._body: list[bytes] = []

    def error(self, reason: str) -> bytes:
        """The answer to the member where the upstream gave none."""
        return answers.error(self.id, UPSTREAM, reason)

    def start(self, head: Head) -> None:
        """The head of the member's answer."""
        self._head = head
        if head.status == 200 and content_type(head)[0] == EVENTS:  # noqa: PLR2004 - HTTP OK
            self._parser = sse.SseParser(max_event=MAX_EVENT)

    def write(self, data: bytes) -> None:
        """Bytes of its body: events go on at once, everything else is held until the end."""
        if self.done or self._batch.over:
            return
        if self._batch.paused:  # this call was forwarded after the client had fallen behind
            self.on_pause()
        if self._parser is None:
            self._body.append(data)
            if not self._batch.hold(len(data)):
                self._give_up(TOO_MUCH)
            return
        try:
            self._pass_on(self._parser.feed(data))
        except sse.EventTooLarge as error:
            self._give_up(str(error))

    def finish(self) -> None:
        """Its answer is complete."""
        if self.done:
            return
        body = self._take_body()
        if self._parser is not None:
            try:
                self._pass_on(self._parser.finish()[0])
            except sse.EventTooLarge:
                body = b""  # the error below says that there was no answer
        elif self.id is not None and self._has_messages(body):
            for one in taken_apart(body):
                self._batch.message(one)
        self._end(body)

    def abort(self) -> None:
        """Its answer was cut."""
        if not self.done:
            self._take_body()
            self._head = Head(0)
            self._end(b"")

    def _has_messages(self, body: bytes) -> bool:
        """An HTTP error counts as one, unless it holds the answer to this very request, in JSON.

        A session that is gone (404) is that, whatever the body says: nothing else makes clients
        start anew. A body of another type was not judged as a message, so it is none.
        """
        status = self._head.status
        if status < 400:  # noqa: PLR2004 - the HTTP class
            return True
        if content_type(self._head)[0] != JSON:
            return False
        read = read_told(body) if body and status != 404 else None  # noqa: PLR2004 - session is gone
        return read is not None and read.kind == "response" and read.id is not None and self._own(read.id)

    def _own(self, message_id: MessageId) -> bool:
        return self.id is not None and id_key(message_id) == id_key(self.id)

    def _pass_on(self, events: Sequence[sse.Event]) -> None:
        for event in events:
            if event.data:
                for one in taken_apart(event.data):
                    self._batch.message(one)

    def _take_body(self) -> bytes:
        body, self._body = b"".join(self._body), []
        self._batch.hold(-len(body))
        return body

    def _end(self, body: bytes) -> None:
        """Report what came of it, unless its answer has."""
        self.done = True
        if self.answered:
            return
        if self._head.status >= 400:  # noqa: PLR2004 - the HTTP class
            self._batch.failed(self, self._head, body)
        elif self.id is None:
            self._batch.taken(self)
        else:
            self._batch.answered(self, self.error("the upstream sent no answer to this request"))

    def _give_up(self, reason: str) -> None:
        """Take no more; the call itself goes on to its outcome."""
        self.done = True
        self._take_body()
        if not self.answered:
            self._batch.answered(self, self.error(reason))
        self.on_gone()
