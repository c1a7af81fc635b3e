"""What the gate accepts is read by every official SDK as the gate read it.

Method, id with its type, name of the tool, arguments. An SDK that refuses what the gate accepts is
no danger and only counted; one that reads something else would execute what nobody decided on.
Numbers: a reader may round one only where P3.4 makes the policy refuse to look at it.
"""

from __future__ import annotations

from itertools import islice

import pytest

from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message
from tests.differential import readings
from tests.differential.messages import Messages
from tests.needs import full_size, size
from tests.wire.test_corpus import CASES, CORPUS

SEED = 20_261_120
MESSAGES = size(small=2_000, full=400_000)
WITHIN = size(small=20, full=1_800)

pytestmark = pytest.mark.timeout(size(small=60, full=3_600))


def accepted() -> list[Message]:
    """Generated messages that pass the gate's reader."""
    read = (read_message(body) for body in islice(Messages(SEED), MESSAGES))
    return [message for message in read if isinstance(message, Message)]


def compare(name: str, messages: list[Message]) -> tuple[list[str], dict[str, int]]:
    """Every difference, and how many messages each way of reading took."""
    answers = readings.ask(readings.READER[name](), "body", [message.raw for message in messages], WITHIN)
    found: list[str] = []
    taken: dict[str, int] = {}
    for message, answer in zip(messages, answers, strict=True):
        for way, theirs in answer.items():
            taken[way] = taken.get(way, 0) + ("refused" not in theirs)
            different = readings.difference(message, theirs)
            if different is not None:
                found.append(f"{way}: {different}: {message.raw!r}")
    return found, taken


@pytest.mark.parametrize("name", readings.READER)
def test_what_the_gate_accepts_every_sdk_reads_alike(name: str) -> None:
    messages = accepted()

    found, taken = compare(name, messages)

    assert found[:10] == []
    # Enough was compared: about half of what is generated is accepted, and hardly any of it refused.
    assert len(messages) > MESSAGES * 0.4
    requests = sum(message.kind == "request" for message in messages)
    assert min(taken.values()) > requests * 0.85


@pytest.mark.parametrize("name", readings.READER)
def test_the_corpus_of_odd_but_accepted_messages_is_read_alike(name: str) -> None:
    files = sorted({str(case["file"]) for case in CASES if "file" in case})
    read = (read_message((CORPUS / "accepted" / file).read_bytes()) for file in files)
    messages = [message for message in read if isinstance(message, Message)]

    found, _ = compare(name, messages)

    assert found == []
    assert len(messages) > 120


def test_a_reader_that_reads_differently_is_noticed() -> None:
    """The comparison itself can fail: on a name, the type of an id, a lost argument, a rounded number."""
    arguments = b'{"a":0.5,"n":9007199254740993}'
    message = read_message(
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":%b}}' % arguments
    )
    assert isinstance(message, Message)
    units = readings.units
    rounded = [units("n"), ["d", "4340000000000000"]]
    given = ["o", [[units("a"), ["d", "3fe0000000000000"]], rounded]]
    good = {
        "method": ["s", units("tools/call")],
        "id": ["i", "1"],
        "name": ["s", units("x")],
        "arguments": given,
    }

    assert readings.difference(message, good) is None
    assert readings.difference(message, {"refused": "ValueError"}) is None
    for member, other in (
        ("name", ["s", units("X")]),
        ("id", ["s", units("1")]),
        ("arguments", ["o", [rounded]]),
        ("arguments", ["o", [[units("a"), ["d", "3fe0000000000001"]], rounded]]),
        ("method", ["s", units("tools/list")]),
    ):
        assert readings.difference(message, {**good, member: other}) is not None


def test_the_generator_gives_the_same_messages_for_the_same_seed() -> None:
    assert list(islice(Messages(7), 50)) == list(islice(Messages(7), 50))
    assert not full_size() or MESSAGES > 100_000
