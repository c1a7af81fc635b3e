"""Tasks at a stop: their servers are asked to cancel them, and what comes of that is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ostiary.calls.stop import Stop
from ostiary.proxy.cancelling import PATIENCE, cancel_task
from ostiary.proxy.exchange import Upstream
from ostiary.proxy.handles.book import Book
from ostiary.proxy.handles.tasks import Task
from ostiary.wire import tasks
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message, as_object
from ostiary.wire.sse import SseParser


def end_tasks(stop: Stop, book: Book, upstream: Upstream, server: str, mint: Callable[[], str]) -> None:
    """Have every task cancelled that `stop` covers.

    One whose server confirms that has its outcome then. Of any other the outcome is `unknown` a
    moment later: it may go on, and keeps its slots until it is seen to be over (P4.4).
    """
    for task in book.tasks.live(lambda grant: stop.scope.covers(grant, server)):
        if task.way is None:
            book.tasks.unheard(task, stop.note)
            continue
        cancel_task(upstream, task.way, task.outstanding.grant, mint(), _Heard(book, task))
        asyncio.get_running_loop().call_later(PATIENCE, book.tasks.unheard, task, stop.note)


class _Heard:
    """Takes what a server says to the cancellation of one task."""

    __slots__ = ("_book", "_task")

    def __init__(self, book: Book, task: Task) -> None:
        self._book = book
        self._task = task

    def __call__(self, body: bytes) -> None:
        for message in _messages(body):
            described = tasks.state(as_object(message.envelope.get("result")) or {})
            if described is not None:
                self._book.told(self._task, described)


def _messages(body: bytes) -> list[Message]:
    """The messages in an answer: it is one, or a stream of events."""
    if body.lstrip()[:1] == b"{":
        found = [body]
    else:
        parser = SseParser()
        found = [event.data for event in (*parser.feed(body), *parser.finish()[0]) if event.data]
    read = [read_message(one, max_bytes=len(one)) for one in found]
    return [one for one in read if isinstance(one, Message) and one.kind == "response"]
