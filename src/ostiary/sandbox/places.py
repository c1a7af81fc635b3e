"""The places of an engine: a run waits here until its owner's turn has come."""

from __future__ import annotations

import asyncio

from ostiary.sandbox.turns import Turns


class Places:
    """`most` runs have one at once; `Turns` says whose is next."""

    def __init__(self, most: int) -> None:
        self._turns = Turns[asyncio.Event](most)

    async def take(self, owner: str) -> None:
        """Wait for a place. Whoever has it gives it back by `free`."""
        turn = asyncio.Event()
        self._turns.wait(owner, turn)
        self._give()
        try:
            await turn.wait()
        except asyncio.CancelledError:
            if turn.is_set():  # in the same moment
                self.free(owner)
            else:
                self._turns.leave(owner, turn)
            raise

    def free(self, owner: str) -> None:
        """A place of `owner` goes to whoever is next."""
        self._turns.back(owner)
        self._give()

    def _give(self) -> None:
        while (turn := self._turns.give()) is not None:
            turn.set()
