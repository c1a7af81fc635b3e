"""Hostile requests to a running gate: the right status, the connection closed, nothing forwarded."""

from __future__ import annotations

import pytest

from ostiary.proxy.http.request import Limits
from tests.http_cases.refused import Refused, by_case
from tests.http_cases.world import GateProcess, asked
from tests.proxy.http_world import exchange, talking
from tests.weaknesses.world import within

KINDS = by_case(Limits())


def named(case: int) -> pytest.MarkDecorator:
    """Every input of one case."""
    kinds: Refused = KINDS[case]
    return pytest.mark.parametrize("wrong", kinds)


def refuse(gate: GateProcess, case: int, wrong: str) -> None:
    """Send it on a new connection, then behind three good calls: one answer, then the end.

    Nothing of it reaches the upstream, and the next client is served.
    """
    status, data = KINDS[case][wrong]

    async def main() -> None:
        async with gate.upstream() as upstream:
            got = await exchange(gate.port, data)
            assert got.startswith(b"HTTP/1.1 %d " % status), got[:200]
            assert got.count(b"HTTP/1.1") == 1
            assert b"\r\nconnection: close\r\n" in got
            assert b"100 Continue" not in got
            assert (b"\r\nallow: GET, POST, DELETE\r\n" in got) == (status == 405)
            assert upstream.seen == []
            async with talking(gate.port) as (reader, writer):
                for number in (1, 2, 3):
                    assert (await asked(reader, writer, number))["id"] == number
                writer.write(data)
                assert (await reader.read()).startswith(b"HTTP/1.1 %d " % status)
            assert upstream.calls == ["echo"] * 3

    within(main)


@named(1)
def test_length_together_with_transfer_coding(gate: GateProcess, wrong: str) -> None:
    """HTTP case 1: two framings of one body."""
    refuse(gate, 1, wrong)


@named(2)
def test_length_that_is_not_one_plain_number(gate: GateProcess, wrong: str) -> None:
    """HTTP case 2: whoever reads it another way sees another end of the body."""
    refuse(gate, 2, wrong)


@named(3)
def test_transfer_coding_that_is_not_exactly_chunked(gate: GateProcess, wrong: str) -> None:
    """HTTP case 3: any other spelling is read in two ways."""
    refuse(gate, 3, wrong)


@named(4)
def test_malformed_chunks_and_endless_trailers(gate: GateProcess, wrong: str) -> None:
    """HTTP case 4: a chunk is as long as it says, and what stands between chunks is bounded."""
    refuse(gate, 4, wrong)


@named(5)
def test_malformed_header_lines(gate: GateProcess, wrong: str) -> None:
    """HTTP case 5: lines end in CR LF, names are tokens, values are printable."""
    refuse(gate, 5, wrong)


@named(6)
def test_head_that_is_too_large(gate: GateProcess, wrong: str) -> None:
    """HTTP case 6: answered before any body."""
    refuse(gate, 6, wrong)


@named(7)
def test_body_over_the_limit(gate: GateProcess, wrong: str) -> None:
    """HTTP case 7: at once where its length is told, else when the limit is crossed."""
    refuse(gate, 7, wrong)


@named(10)
def test_expectation_that_is_not_met_here(gate: GateProcess, wrong: str) -> None:
    """HTTP case 10: 417, and the body is not read."""
    refuse(gate, 10, wrong)


@named(11)
def test_method_target_or_version_that_is_not_served(gate: GateProcess, wrong: str) -> None:
    """HTTP case 11: the status says what is wrong."""
    refuse(gate, 11, wrong)


@named(12)
def test_request_without_exactly_one_host(gate: GateProcess, wrong: str) -> None:
    """HTTP case 12: with two hosts nobody knows who was asked."""
    refuse(gate, 12, wrong)


@named(23)
def test_tls_on_the_plain_port(gate: GateProcess, wrong: str) -> None:
    """HTTP case 23: told as what it is, not as a method."""
    refuse(gate, 23, wrong)


@named(25)
def test_connection_header_that_would_drop_what_is_decided_on(gate: GateProcess, wrong: str) -> None:
    """HTTP case 25: a header that decisions read is neither removed nor given twice."""
    refuse(gate, 25, wrong)
