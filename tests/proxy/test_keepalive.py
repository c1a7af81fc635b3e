from __future__ import annotations

import asyncio

from ostiary.proxy.keepalive import KeepAlive


class Stream:
    def __init__(self) -> None:
        self.written = False
        self.comments = 0
        self.told = asyncio.Event()

    def keep_alive(self) -> None:
        self.comments += 1
        self.told.set()


def test_an_idle_stream_is_written_to_and_a_busy_one_is_left_alone() -> None:
    async def main() -> None:
        streams = KeepAlive(period=0.01)
        idle, busy = Stream(), Stream()
        streams.add(idle)
        streams.add(busy)

        for _ in range(3):
            idle.told.clear()
            while not idle.told.is_set():
                busy.written = True
                await asyncio.sleep(0)

        assert idle.comments == 3
        assert busy.comments == 0

    asyncio.run(asyncio.wait_for(main(), 5))


def test_an_ended_stream_is_never_written_to_and_the_timer_stops_with_the_last_one() -> None:
    async def main() -> None:
        streams = KeepAlive(period=0.001)
        ended, other = Stream(), Stream()
        streams.add(ended)
        streams.discard(ended)
        streams.add(other)

        await asyncio.wait_for(other.told.wait(), 5)
        streams.discard(other)
        await asyncio.sleep(0.01)

        assert ended.comments == 0
        assert streams._timer is None

    asyncio.run(asyncio.wait_for(main(), 5))
