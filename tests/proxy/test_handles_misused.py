"""Handles in the hands of clients and servers that want more than they may have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ostiary.proxy.handles.book import Book
from ostiary.store import handles
from ostiary.store.sqlite import SqliteStore
from ostiary.wire.tasks import MAX_NAMED
from tests.proxy.test_handles import (
    UNKNOWN,
    about,
    answers,
    as_task,
    event,
    makes_task,
    outcomes,
    refused,
    resume,
    say_modern,
    sessions,
    task,
)
from tests.store.writing import World as Store
from tests.weaknesses.world import (
    ALLOW_ALL,
    World,
    call,
    encoded,
    http,
    request,
    until,
    within,
    world,
)
from tests.weaknesses.world import (
    events as stream,
)

ONE_AT_A_TIME: dict[str, Any] = {
    "version": "1",
    "default": "deny",
    "tools": {"echo": {"limits": [{"counter": "runs", "max_concurrent": 1, "scope": "grant"}]}},
}


def test_a_task_whose_creation_is_replayed_is_the_same_task_and_holds_its_slot(tmp_path) -> None:
    """Else a client would free its slot by resuming the stream that brought the task (P4.4)."""
    created = {"jsonrpc": "2.0", "id": 1, "result": {"task": task()}}

    async def main() -> None:
        async with world(ONE_AT_A_TIME, tmp_path / "s") as gate:
            sessions(gate.upstream)
            session = await gate.session("alice")
            header = (b"mcp-session-id", session)
            gate.upstream.script["tools/call"] = stream(event(b"p1"), event(b"p2", created))
            await gate.post(as_task(), header, grant="alice")
            gate.upstream.script["GET"] = stream(event(b"p2", created))
            assert (await resume(gate, session, b"p1")).events == [created]
            assert await outcomes(gate) == []
            assert (await gate.post(as_task(2), header, grant="alice")).denied
            answers(gate.upstream, "tasks/get", task(status="completed"))
            await gate.post(request("tasks/get", {"taskId": "t1"}, 9), header, grant="alice")
            assert [one.status for one in await outcomes(gate)] == ["ok"]
            assert (await resume(gate, session, b"p1")).events == [created]  # it stays over
            assert gate.desk.book.tasks.following("alice") == 0
            assert not (await gate.post(as_task(3), header, grant="alice")).denied

    within(main)


def test_the_time_of_an_older_task_does_not_end_a_newer_one_with_its_id(tmp_path) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            makes_task(gate.upstream, ttl=60)
            await gate.post(as_task(), grant="alice")
            makes_task(gate.upstream, ttl=60_000)
            await gate.post(as_task(2), grant="alice")
            makes_task(gate.upstream, "t2", ttl=80)  # its end comes after that of the first
            await gate.post(as_task(3), grant="alice")
            second = gate.desk.book.tasks.of("alice", "t2")
            await until(lambda: second is not None and second.timer is None)
            assert gate.desk.book.tasks.following("alice") == 1

    within(main)


def test_a_client_that_asks_for_a_short_time_keeps_its_slot_taken(tmp_path) -> None:
    """P4.4: what has an unknown outcome may still be running; the client chooses the time of a task."""

    async def main() -> None:
        async with world(ONE_AT_A_TIME, tmp_path / "s") as gate:
            makes_task(gate.upstream, ttl=1)
            await gate.post(as_task(), grant="alice")
            await until(lambda: gate.desk.book.tasks.following("alice") == 0)
            assert (await gate.post(as_task(2), grant="alice")).denied
            answers(gate.upstream, "tasks/get", task(status="completed", ttl=1))
            await about(gate, "tasks/get")
            assert not (await gate.post(as_task(3), grant="alice")).denied

    within(main)


def test_an_error_about_the_result_of_a_task_does_not_end_the_task(tmp_path) -> None:
    """A client can cause one by how it asks, and would have its slot and its charge back."""

    async def main() -> None:
        async with world(ONE_AT_A_TIME, tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
            wrong = {"jsonrpc": "2.0", "id": 9, "error": {"code": -32602, "message": "what is `bogus`?"}}
            gate.upstream.script["tasks/result"] = http(encoded(wrong))
            asked = request("tasks/result", {"taskId": "t1", "bogus": 1}, 9)
            assert "error" in (await gate.post(asked, grant="alice")).json
            assert await outcomes(gate) == []
            assert (await gate.post(as_task(2), grant="alice")).denied

    within(main)


def test_a_subscription_names_a_bounded_number_of_tasks(tmp_path) -> None:
    """Each is looked up on the event loop, also where one known id is repeated."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
            many = {"notifications": {"taskIds": ["t1"] * (MAX_NAMED + 1)}}
            reply = await say_modern(gate, request("subscriptions/listen", many))
            assert reply.json["error"]["code"] == UNKNOWN
            assert "taskIds" in reply.json["error"]["message"]

    within(main)


def test_entries_of_a_list_of_tasks_are_looked_up_once_and_no_more_than_so_many(
    tmp_path, monkeypatch
) -> None:
    """A server may list any number of tasks that nobody knows; each costs a read of the store."""
    monkeypatch.setattr("ostiary.proxy.handles.book.MAX_LISTED", 10)
    looked = 0

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            get = gate.desk.book.tasks._shelf.get

            def counted(key: bytes) -> bytes | None:
                nonlocal looked
                looked += 1
                return get(key)

            gate.desk.book.tasks._shelf.get = counted  # type: ignore[method-assign]
            strangers = [task(f"x{number}", "completed") for number in range(50)]
            answers(gate.upstream, "tasks/list", {"tasks": strangers})
            listed = await gate.post(request("tasks/list"), grant="alice")
            assert listed.json["result"]["tasks"] == []

    within(main)
    assert looked <= 20


@pytest.mark.parametrize("method", ["tasks/resume", "tasks/list"])
def test_a_task_of_another_grant_reaches_no_server_in_any_request_about_tasks(tmp_path, method: str) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
            before = len(gate.upstream.seen)
            params = {"taskId": "t1"}
            assert refused(await gate.post(request(method, params), grant="bob"))
            assert len(gate.upstream.seen) == before
            answers(gate.upstream, method, {"tasks": []})
            assert "result" in (await gate.post(request(method, params), grant="alice")).json

    within(main)


def test_another_spelling_of_what_names_a_task_is_refused(tmp_path) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            meta = {"_meta": {"io.modelcontextprotocol/Related-Task": {"taskId": "t1"}}}
            reply = await gate.post(request("ping", meta), grant="bob")
            assert reply.json["error"]["code"] == UNKNOWN
            assert gate.upstream.seen == []

    within(main)


def test_a_list_of_tasks_on_a_stream_without_a_session_is_withheld(tmp_path) -> None:
    """There nothing tells whose answer it is, and it may show the tasks of others."""
    listed = {"jsonrpc": "2.0", "id": 5, "result": {"tasks": [task("bob's")]}}

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["tasks/list"] = stream(event(b"p1"))
            await gate.post(request("tasks/list", {}, 5), grant="alice")
            gate.upstream.script["GET"] = stream(event(b"p2", listed))
            assert b"bob's" not in (await resume_without_session(gate, b"p1")).body

    within(main)


async def resume_without_session(gate: World, place: bytes) -> Any:
    return await gate.post(None, (b"last-event-id", place), grant="alice", method="GET")


def test_a_notification_with_questions_is_judged_by_the_policy_of_its_task(tmp_path) -> None:
    asked = {"q": {"method": "elicitation/create", "params": {"message": "?"}}}
    told = {
        "jsonrpc": "2.0",
        "method": "notifications/tasks",
        "params": {**task(status="input_required"), "inputRequests": asked},
    }
    strict = {"version": "1", "default": "deny", "tools": {"echo": {}}}

    async def main() -> None:
        async with world(strict, tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
            gate.reload(ALLOW_ALL)
            gate.upstream.script["GET"] = stream(told)
            reply = await gate.post(None, grant="alice", method="GET")
            assert b"inputRequests" not in reply.body
            await gate.post(request("ping"), grant="alice")

    within(main)


def test_a_server_that_issues_much_pushes_out_nothing_of_another_server(tmp_path, monkeypatch) -> None:
    """Several gates of one user share a store, and a grant there has one name for all its servers."""
    monkeypatch.setattr(handles, "KEPT", 20)

    def book(store: SqliteStore, server: str) -> Book:
        return Book(
            key=b"k" * 32, server=server, shelf=store.handles, clock=store.clock.now, write=lambda _: None
        )

    kept = Store(tmp_path / "s")
    with kept.store() as store:
        book(store, "files").states.issued("local", "tools/call", "echo", "mine")
        store.commit([])
        flooding = book(store, "hostile")
        for number in range(50):
            kept.times.pass_(1)
            flooding.states.issued("local", "tools/call", "echo", f"{number}")
            store.commit([])
        assert book(store, "files").states.known("local", "tools/call", "echo", "mine")


def test_an_answer_that_comes_elsewhere_while_its_own_stream_is_open_is_the_outcome(tmp_path) -> None:
    """Else the slot would stay taken, and the record would never say what came of the call."""
    answer = {"jsonrpc": "2.0", "id": 5, "result": {"content": []}}

    async def main() -> None:
        async with world(ONE_AT_A_TIME, tmp_path / "s") as gate:
            sessions(gate.upstream)
            header = (b"mcp-session-id", await gate.session("alice"))
            closing = asyncio.Event()

            async def slow() -> bytes:
                await closing.wait()
                return stream(event(b"p1"))

            gate.upstream.script["tools/call"] = lambda _seen: slow()
            calling = asyncio.create_task(gate.post(call("echo", number=5), header, grant="alice"))
            await until(lambda: "echo" in gate.upstream.calls)
            gate.upstream.script["GET"] = stream(event(b"p2", answer))
            reply = await gate.post(None, header, grant="alice", method="GET")
            assert reply.events == [answer]
            closing.set()
            await calling
            assert [one.status for one in await outcomes(gate)] == ["unknown", "ok"]
            gate.upstream.script.pop("tools/call")
            assert not (await gate.post(call("echo", number=6), header, grant="alice")).denied

    within(main)
