"""The journal of a loop: order, and where a transaction runs."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ostiary.calls.journal import Committed, Entry, Exceeded, NotStored, Reply
from ostiary.store.sqlite import SqliteStore
from ostiary.store.tick import TickJournal
from tests.store.writing import QUIET, World, intent, outcome, runs

OK = Committed()


class Answers(list[tuple[str, Reply]]):
    """Replies in the order they came, and a way to wait for so many."""

    def to(self, name: str) -> Callable[[Reply], None]:
        return lambda reply: self.append((name, reply))

    async def until(self, count: int) -> None:
        while len(self) < count:
            await asyncio.sleep(0)

    def names(self) -> str:
        return "".join(name for name, _ in self)


def play(world: World, scene: Callable[[SqliteStore, TickJournal], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        with world.store(**options) as store:
            journal = TickJournal(store, asyncio.get_running_loop())
            try:
                await scene(store, journal)
            finally:
                await journal.close()

    asyncio.run(asyncio.wait_for(main(), 5))


def watch(store: SqliteStore) -> list[tuple[int, str]]:
    """For each transaction: how many entries, and on which thread."""
    seen: list[tuple[int, str]] = []
    commit = store.commit

    def watched(entries: list[Entry | None], **how: Any) -> list[Reply]:
        seen.append((len(entries), threading.current_thread().name))
        return commit(entries, **how)

    vars(store)["commit"] = watched
    return seen


def test_entries_of_one_tick_share_one_transaction_in_the_loop(state_dir: Path) -> None:
    async def scene(store: SqliteStore, journal: TickJournal) -> None:
        seen, answers = watch(store), Answers()

        for name in "abc":
            journal.submit(intent(name, runs(ceiling=2)), answers.to(name))

        assert answers == []  # never from inside submit
        await answers.until(3)
        assert answers.names() == "abc"
        assert [type(reply) for _, reply in answers] == [Committed, Committed, Exceeded]
        assert seen == [(3, "MainThread")]

    play(World(state_dir), scene)


@pytest.mark.parametrize("why", ["power", "shared", "slow work"])
def test_what_would_hold_up_the_loop_runs_on_the_writer_thread(state_dir: Path, why: str) -> None:
    async def scene(store: SqliteStore, journal: TickJournal) -> None:
        seen, answers = watch(store), Answers()
        if why == "shared":
            store.alone = False
        if why == "slow work":
            assert store.upkeep is not None
            store.upkeep.restart_wanted = True

        journal.submit(intent("a"), answers.to("a"))
        await answers.until(1)

        assert answers == [("a", OK)]
        assert seen[0][1].startswith("ostiary-writer")

    play(World(state_dir), scene, durability="power" if why == "power" else "process")


def test_order_is_kept_when_the_mode_changes_under_way(state_dir: Path) -> None:
    """What arrives while the thread writes waits for it, even when the loop could write again."""

    async def scene(store: SqliteStore, journal: TickJournal) -> None:
        seen, answers = watch(store), Answers()
        lock = sqlite3.connect(state_dir / "ostiary.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        journal.submit(intent("a"), answers.to("a"))
        while not any(thread.startswith("ostiary-writer") for _, thread in seen):
            await asyncio.sleep(0)

        journal.submit(intent("b"), answers.to("b"))
        await asyncio.sleep(0)
        journal.submit(None, answers.to("-"))
        journal.submit(intent("c"), answers.to("c"))
        assert answers == []
        lock.execute("ROLLBACK")
        lock.close()

        await answers.until(4)
        assert answers.names() == "ab-c"
        assert [count for count, _ in seen] == [1, 1, 3]
        assert [thread for _, thread in seen][::2] == ["MainThread", "MainThread"]

    play(World(state_dir), scene)


def test_closing_answers_everything_that_was_queued_and_refuses_the_rest(state_dir: Path) -> None:
    async def scene(store: SqliteStore, journal: TickJournal) -> None:
        answers = Answers()
        store.alone = False
        journal.submit(intent("a"), answers.to("a"))
        closing = asyncio.get_running_loop().create_task(journal.close())
        await asyncio.sleep(0)
        journal.submit(intent("b"), answers.to("b"))
        await closing
        await answers.until(2)

        assert dict(answers) == {"a": OK, "b": NotStored("the gate is stopping")}

    world = World(state_dir)
    play(world, scene)
    assert [body["id"] for body in world.bodies()] == ["a"]


def test_a_callback_that_raises_does_not_take_the_others_with_it(state_dir: Path) -> None:
    async def scene(store: SqliteStore, journal: TickJournal) -> None:
        answers, failures = Answers(), []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

        def fails(reply: Reply) -> None:
            raise ValueError(reply)

        journal.submit(intent("a"), answers.to("a"))
        journal.submit(intent("b"), fails)
        journal.submit(intent("c"), answers.to("c"))
        await answers.until(2)

        assert answers.names() == "ac"
        assert len(failures) == 1

    play(World(state_dir), scene)


@pytest.mark.parametrize("alone", [True, False])
def test_an_entry_that_breaks_the_transaction_is_answered_and_leaves_nothing(
    state_dir: Path, alone: bool
) -> None:
    """P2.15: there is no path from a defect to forwarding, and none to silence."""

    async def scene(store: SqliteStore, journal: TickJournal) -> None:
        answers, failures = Answers(), []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        store.alone = alone

        def broken(exceeded: Exceeded) -> Any:
            raise ValueError(exceeded)

        bad = intent("b", runs(ceiling=0))
        journal.submit(intent("a", runs(ceiling=1)), answers.to("a"))
        journal.submit(Entry(bad.record, bad.charges, broken), answers.to("b"))
        await answers.until(2)
        journal.submit(intent("c", runs(ceiling=1)), answers.to("c"))
        await answers.until(3)

        assert [type(reply) for _, reply in answers] == [NotStored, NotStored, Committed]
        assert len(failures) == 1

    play(World(state_dir), scene)


def late(call: str) -> Entry:
    """An outcome that nobody waits for."""
    return Entry(outcome(call).record, late=True)


def test_a_late_row_goes_with_the_next_transaction_in_its_order(state_dir: Path) -> None:
    async def scene(store: SqliteStore, journal: TickJournal) -> None:
        seen, answers = watch(store), Answers()
        journal.submit(intent("a"), answers.to("a"))
        await answers.until(1)

        journal.submit(late("a"), answers.to("A"))
        await asyncio.sleep(0)
        journal.submit(intent("b"), answers.to("b"))
        await answers.until(3)

        assert answers.names() == "aAb"
        assert [count for count, _ in seen] == [1, 2]

    play(World(state_dir), scene, intervals=QUIET)


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_late_row_alone_is_written_a_moment_later(state_dir: Path, durability: str) -> None:
    async def scene(store: SqliteStore, journal: TickJournal) -> None:
        seen, answers = watch(store), Answers()

        journal.submit(late("a"), answers.to("a"))
        for _ in range(3):
            await asyncio.sleep(0)
        assert seen == []
        await answers.until(1)

        assert answers == [("a", OK)]

    play(World(state_dir), scene, intervals=QUIET, durability=durability)


def test_what_is_late_is_written_before_the_journal_closes(state_dir: Path) -> None:
    world = World(state_dir)

    async def scene(_store: SqliteStore, journal: TickJournal) -> None:
        answers = Answers()
        journal.submit(intent("a"), answers.to("a"))
        await answers.until(1)
        journal.submit(late("a"), answers.to("a"))
        await journal.close()

    play(world, scene, intervals=QUIET)

    assert [body["kind"] for body in world.bodies()] == ["intent", "outcome"]


def test_submitting_from_a_callback_goes_into_the_next_transaction(state_dir: Path) -> None:
    async def scene(store: SqliteStore, journal: TickJournal) -> None:
        answers = Answers()

        def then(reply: Reply) -> None:
            answers.append(("a", reply))
            journal.submit(outcome("a"), answers.to("b"))

        journal.submit(intent("a"), then)
        await answers.until(2)

        assert answers.names() == "ab"

    play(World(state_dir), scene, intervals=QUIET)
