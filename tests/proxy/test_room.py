"""Which requests are open: with a store, a clock and answers that the test decides on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ostiary.approvals.request import Request, Standing, State
from ostiary.approvals.step import Redeemed, Settle, Stepped, Unchanged, Waiting
from ostiary.calls.journal import Entry, NotStored, Reply
from ostiary.proxy.approvals import room as module
from ostiary.proxy.approvals.room import Room
from tests.proxy.http_world import until

SECOND = 1_000_000
START = 1_795_206_400 * SECOND


def request(name: str = "apr_1", revision: str = "r1", lasts: int = 60) -> Request:
    return Request(
        id=name, grant="local", principal="grant:local", server="files", tool="t", definition="",
        revision=revision, digest="", asked=START, expires=START + lasts * SECOND,
    )  # fmt: skip


class World:
    """The store as the room sees it, and everything that the room says."""

    def __init__(self) -> None:
        self.rows: dict[str, Standing] = {}
        self.now = START
        self.looks = 0
        self.told: list[tuple[str, str]] = []
        self.entries: list[Entry] = []
        self.refuse: Reply | None = None
        self.room = Room(self, clock=lambda: self.now, mint=lambda: "ev_1", submit=self._submit)
        self.room.told = lambda event, standing: self.told.append((event, standing.request.id))

    def standing(self, request_id: str) -> Standing | None:
        self.looks += 1
        return self.rows.get(request_id)

    def open_of(self, server: str, owner: str) -> Sequence[Standing]:
        assert (server, owner) == ("files", "local")
        return list(self.rows.values())

    def ask(self, asked: Request) -> None:
        self.rows[asked.id] = Standing(request=asked)
        self.room.asked(asked, Waiting(asked.id, asked.expires, joined=False))

    def becomes(self, request_id: str, state: State) -> None:
        self.rows[request_id] = msgspec.structs.replace(self.rows[request_id], state=state)

    def _submit(self, entry: Entry, done: Callable[[Reply], None]) -> None:
        self.entries.append(entry)
        step = entry.step
        assert isinstance(step, Settle)
        if self.refuse is not None:
            done(self.refuse)
            return
        self.becomes(step.id, step.to)
        done(Stepped(self.rows[step.id]))


def played(main: Callable[[World], Any], monkeypatch: Any) -> World:
    monkeypatch.setattr(module, "PERIOD", 0.001)
    world = World()

    async def bounded() -> None:
        await asyncio.wait_for(main(world), 5)
        world.room.close()

    asyncio.run(bounded())
    return world


def test_an_answer_is_noticed_told_once_and_ends_the_wait(monkeypatch) -> None:
    async def main(world: World) -> None:
        ended: list[str] = []
        world.ask(request())
        world.room.wait("apr_1", lambda: ended.append("first"))
        world.room.wait("apr_1", lambda: ended.append("second"))
        world.becomes("apr_1", "approved")
        await until(lambda: ended)
        assert ended == ["first", "second"]
        world.becomes("apr_1", "consumed")
        await until(lambda: not len(world.room))

    world = played(main, monkeypatch)
    assert world.told == [("requested", "apr_1"), ("approved", "apr_1"), ("consumed", "apr_1")]


def test_nothing_is_looked_up_while_nothing_is_open(monkeypatch) -> None:
    async def main(world: World) -> None:
        world.ask(request())
        world.becomes("apr_1", "denied")
        await until(lambda: not len(world.room))
        looks = world.looks
        assert world.room._timer is None
        world.ask(request("apr_2"))
        await until(lambda: world.looks > looks)

    played(main, monkeypatch)


def test_a_request_whose_time_is_up_expires_with_one_record(monkeypatch) -> None:
    async def main(world: World) -> None:
        ended: list[None] = []
        world.ask(request(lasts=60))
        world.room.wait("apr_1", lambda: ended.append(None))
        world.now = START + 60 * SECOND - 1
        looks = world.looks
        await until(lambda: world.looks > looks + 2)
        assert not ended
        world.now += 1
        await until(lambda: ended)

    world = played(main, monkeypatch)
    [entry] = world.entries
    assert entry.record.method == "approval-expired"
    assert entry.record.approval == "apr_1"
    assert entry.record.kind == "event"
    assert world.told[-1] == ("expired", "apr_1")


def test_an_approved_one_that_nobody_used_expires_too(monkeypatch) -> None:
    async def main(world: World) -> None:
        world.ask(request())
        world.becomes("apr_1", "approved")
        await until(lambda: ("approved", "apr_1") in world.told)
        world.now = START + 61 * SECOND
        await until(lambda: not len(world.room))

    assert played(main, monkeypatch).told[-1] == ("expired", "apr_1")


def test_another_policy_cancels_what_the_former_asked_for(monkeypatch) -> None:
    """P5.9: what was asked under another revision is over."""

    async def main(world: World) -> None:
        world.ask(request("apr_old", "r1"))
        world.ask(request("apr_new", "r2"))
        world.room.revise("r2")
        assert len(world.room) == 1

    world = played(main, monkeypatch)
    assert world.told[-1] == ("cancelled", "apr_old")
    assert [one.record.method for one in world.entries] == ["approval-cancelled"]
    assert world.entries[0].record.reasons == (module.SUPERSEDED,)


def test_what_was_open_before_the_start_is_taken_up_or_cancelled(monkeypatch) -> None:
    async def main(world: World) -> None:
        for one in (request("apr_same", "r1"), request("apr_other", "r0")):
            world.rows[one.id] = Standing(request=one)
        world.room.load("files", "local", "r1")
        world.becomes("apr_same", "approved")
        await until(lambda: ("approved", "apr_same") in world.told)

    world = played(main, monkeypatch)
    assert world.told == [("cancelled", "apr_other"), ("approved", "apr_same")]


def test_a_store_that_refuses_is_asked_again_until_it_writes(monkeypatch) -> None:
    async def main(world: World) -> None:
        world.refuse = NotStored("the disk is full")
        world.ask(request())
        world.now = START + 61 * SECOND
        await until(lambda: len(world.entries) > 2)
        assert ("expired", "apr_1") not in world.told
        world.refuse = None
        await until(lambda: ("expired", "apr_1") in world.told)

    assert played(main, monkeypatch).told.count(("expired", "apr_1")) == 1


def test_if_another_process_was_first_its_word_is_the_one_that_is_told(monkeypatch) -> None:
    async def main(world: World) -> None:
        world.refuse = Unchanged("it is over already")
        world.ask(request())
        world.now = START + 61 * SECOND
        await until(lambda: world.entries)
        world.becomes("apr_1", "cancelled")
        await until(lambda: not len(world.room))

    assert played(main, monkeypatch).told[-1] == ("cancelled", "apr_1")


def test_a_row_that_cannot_be_read_for_a_while_changes_nothing(monkeypatch) -> None:
    async def main(world: World) -> None:
        world.ask(request())
        row = world.rows.pop("apr_1")
        looks = world.looks
        await until(lambda: world.looks > looks + 2)
        assert len(world.room) == 1
        world.rows["apr_1"] = row
        world.becomes("apr_1", "approved")
        await until(lambda: ("approved", "apr_1") in world.told)

    played(main, monkeypatch)


def test_who_leaves_is_not_called_and_others_still_are(monkeypatch) -> None:
    async def main(world: World) -> None:
        ended: list[str] = []

        def left() -> None:
            ended.append("left")

        world.ask(request())
        world.room.wait("apr_1", left)
        world.room.wait("apr_1", lambda: ended.append("stayed"))
        world.room.leave("apr_1", left)
        world.room.leave("apr_1", left)
        world.becomes("apr_1", "denied")
        await until(lambda: ended)
        assert ended == ["stayed"]
        assert world.room._waiting == {}

    played(main, monkeypatch)


def test_a_request_of_another_gate_is_watched_from_the_moment_a_call_waits_for_it(monkeypatch) -> None:
    async def main(world: World) -> None:
        ended: list[None] = []
        world.rows["apr_1"] = Standing(request=request())
        world.room.wait("apr_1", lambda: ended.append(None))
        assert len(world.room) == 1
        world.becomes("apr_1", "approved")
        await until(lambda: ended)

    assert played(main, monkeypatch).told == [("approved", "apr_1")]


def test_use_in_this_gate_is_told_at_once_and_not_again(monkeypatch) -> None:
    async def main(world: World) -> None:
        world.ask(request())
        world.becomes("apr_1", "consumed")
        world.room.asked(request(), Redeemed("apr_1"))
        world.room.asked(request(), Redeemed("apr_1"))
        assert len(world.room) == 0

    assert played(main, monkeypatch).told == [("requested", "apr_1"), ("consumed", "apr_1")]


def test_a_joined_request_is_not_told_as_a_new_one(monkeypatch) -> None:
    async def main(world: World) -> None:
        world.ask(request())
        world.room.asked(request(), Waiting("apr_1", request().expires, joined=True))

    assert played(main, monkeypatch).told == [("requested", "apr_1")]
