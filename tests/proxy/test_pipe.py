"""Pipes, and files that stand in for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ostiary.proxy.stdio.pipe import PipeReader, PipeWriter, private_end
from tests.proxy.stdio_world import on_asyncio, on_uvloop

both_loops = pytest.mark.parametrize("run", [on_asyncio, on_uvloop])


@both_loops
def test_regular_file_is_read_to_its_end_with_pauses(run: Callable[..., None], tmp_path: Path) -> None:
    content = os.urandom(300_000)
    file = tmp_path / "input"
    file.write_bytes(content)

    async def main() -> None:
        found: list[bytes] = []
        ended = asyncio.Event()

        def take(data: bytes) -> None:
            found.append(data)
            reader.pause()
            asyncio.get_running_loop().call_soon(reader.resume)

        reader = PipeReader(os.open(file, os.O_RDONLY), data=take, ended=ended.set)
        await ended.wait()
        assert b"".join(found) == content

    run(main)


@both_loops
def test_everything_queued_is_written_before_the_end_is_closed(run: Callable[..., None]) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        found: list[bytes] = []
        closed, ended = asyncio.Event(), asyncio.Event()
        writer = PipeWriter(writing, closed=closed.set)
        writer.write(b"a" * 500_000)
        writer.write(b"b\n")
        writer.close()
        writer.write(b"too late\n")
        PipeReader(reading, data=found.append, ended=ended.set)
        await ended.wait()
        await closed.wait()
        assert b"".join(found) == b"a" * 500_000 + b"b\n"

    run(main)


@both_loops
def test_reader_that_is_gone_is_told_once(run: Callable[..., None]) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        told: list[str] = []
        broken = asyncio.Event()

        def note() -> None:
            told.append("broken")
            broken.set()

        writer = PipeWriter(writing, broken=note)
        os.close(reading)
        ticket = writer.write(b"x\n")
        writer.write(b"y\n")
        await broken.wait()
        assert told == ["broken"]
        assert writer.untouched(ticket)
        assert writer.closed

    run(main)


def test_private_end_of_a_pipe_leaves_the_inherited_one_blocking() -> None:
    reading, writing = os.pipe()
    ours = [private_end(reading, writing=False), private_end(writing, writing=True)]
    assert [os.get_blocking(fd) for fd in (reading, writing, *ours)] == [True, True, False, False]
    os.write(ours[1], b"x")
    assert os.read(ours[0], 10) == b"x"
    for fd in (reading, writing, *ours):
        os.close(fd)
