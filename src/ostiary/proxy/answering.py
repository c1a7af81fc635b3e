"""What the relay of an answer is told of the message that it answers."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ostiary.proxy.exchange import Head
from ostiary.proxy.keepalive import KeepAlive
from ostiary.proxy.peek import Expected
from ostiary.wire.message import MessageId


class Answering(msgspec.Struct):
    """What a relay needs to know of the message that it answers.

    `message_id` is None for everything but requests: only those get a JSON-RPC answer.
    """

    message_id: MessageId | None
    kind: Expected
    seal: Callable[[bytes], bytes]
    on_head: Callable[[Head], None]
    digest: Callable[[bytes], str]
    clock: Callable[[], int]
    streams: KeepAlive
