"""What the gate writes to a server's standard input is split alike by every official SDK.

Some readers end a line at CR, some servers are given bodies that came over HTTP with line ends
inside: the messages that come out must be the accepted ones, one for each, in order.
"""

from __future__ import annotations

import random
from itertools import islice

import pytest

from ostiary.wire.envelope import read_message
from ostiary.wire.lines import LineSplitter, TooLong, to_line
from ostiary.wire.message import Message
from tests.differential import readings
from tests.differential.messages import Messages
from tests.needs import size

SEED = 20_261_121
STREAMS = size(small=80, full=10_000)
WITHIN = size(small=20, full=1_800)

pytestmark = pytest.mark.timeout(size(small=60, full=3_600))

ENDS = (
    b"\n",
    b"\n",
    b"\r\n",
    b" \n",
    b"\n\n",
    b"\r\r\n",
    b"\n \r\n",
    b"\xe2\x80\xa8\n",
    b"\xc2\x85\n",
    b"\x0b\n",
    b"\x0c\n",
    b"\x1c\n",
)
PING = b'{"jsonrpc":"2.0","id":%d,"method":"ping"}'
SMUGGLED = b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"evil"}}'


def streams() -> list[tuple[bytes, list[Message]]]:
    """What reaches a child's input, and the messages in it, for many clients."""
    choice = random.Random(SEED)
    messages = Messages(SEED)
    made = [
        _from_pipe(choice, messages) if number % 2 else _from_http(choice, messages)
        for number in range(STREAMS)
    ]
    long = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":"%b"}}}'
    made += [
        _written([long % (b"x" * 4_000_000), PING % 2]),
        _written([long % ("\u2028\u0085".encode() * 500_000)]),
    ]
    return made


def _from_pipe(choice: random.Random, messages: Messages) -> tuple[bytes, list[Message]]:
    """A client on a pipe, with line ends of every kind and perhaps none after the last line."""
    stream = b""
    for body in islice(messages, choice.randint(1, 6)):
        stream += body + choice.choice(ENDS)
    if choice.random() < 0.2:
        stream = stream.rstrip(b"\n")
    splitter = LineSplitter()
    lines = [*splitter.feed(stream), *splitter.finish()]
    return _written([line for line in lines if not isinstance(line, TooLong)])


def _from_http(choice: random.Random, messages: Messages) -> tuple[bytes, list[Message]]:
    """HTTP clients, whose bodies hold line ends and other messages between their tokens."""
    bodies = list(islice(messages, choice.randint(1, 4)))
    for body in list(bodies):
        gap = choice.choice((b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r"))
        bodies.append(body.replace(b",", gap + b"," + gap).replace(b"}", gap + b"}"))
    bodies.append(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":\r%b\n}}}' % SMUGGLED)
    return _written(bodies)


def _written(bodies: list[bytes]) -> tuple[bytes, list[Message]]:
    """What the gate writes for the bodies that it accepts."""
    read = [read_message(body) for body in bodies]
    messages = [message for message in read if isinstance(message, Message)]
    return b"".join(to_line(message.raw) + b"\n" for message in messages), messages


@pytest.mark.parametrize("name", readings.READER)
def test_every_sdk_splits_a_pipe_into_the_messages_that_were_accepted(name: str) -> None:
    made = streams()

    answers = readings.ask(readings.READER[name](), "stream", [stream for stream, _ in made], WITHIN)

    found: list[str] = []
    for (stream, messages), answer in zip(made, answers, strict=True):
        for theirs in answer.values() if isinstance(answer, dict) else [answer]:
            if len(theirs) != len(messages):
                found.append(f"{len(theirs)} messages instead of {len(messages)}: {stream[:2_000]!r}")
                continue
            for message, one in zip(messages, theirs, strict=True):
                different = readings.difference(message, one)
                if different is not None:
                    found.append(f"{different}: {message.raw[:2_000]!r}")
    assert found[:10] == []
    assert sum(len(messages) for _, messages in made) > 2 * STREAMS


def test_without_the_gates_rewriting_the_same_body_would_be_two_messages() -> None:
    """The comparison itself can fail: Python servers end a line at CR."""
    raw = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":\r%b\r}}}\n' % SMUGGLED

    (read,) = readings.ask(readings.python_2(), "stream", [raw], WITHIN)

    assert [one.get("name") for one in read] == [None, ["s", readings.units("evil")], None]
