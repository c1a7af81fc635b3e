"""What messages say about tasks, in both shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message
from ostiary.wire.tasks import MAX_NAMED, MAX_TTL_MS, RELATED, TaskState, created, listed, named, state


def message(document: dict[str, Any]) -> Message:
    read = read_message(json.dumps({"jsonrpc": "2.0", "id": 1, **document}).encode())
    assert isinstance(read, Message)
    return read


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"task": {"taskId": "a", "status": "working", "ttl": 5}}, TaskState("a", "", 5)),
        ({"resultType": "task", "taskId": "a", "status": "working", "ttlMs": None}, TaskState("a", "")),
        ({"resultType": "task", "taskId": "a"}, None),
        ({"taskId": "a", "status": "working"}, None),
        ({"task": "a"}, None),
        ({"task": {"taskId": 1, "status": "working"}}, None),
    ],
)
def test_a_result_that_stands_for_a_task_is_told_from_others(
    result: dict[str, Any], expected: TaskState | None
) -> None:
    assert created(result) == expected


@pytest.mark.parametrize(
    ("members", "ending"),
    [
        ({"status": "working"}, ""),
        ({"status": "input_required"}, ""),
        ({"status": "something new"}, ""),
        ({"status": "completed"}, "ok"),
        ({"status": "completed", "result": {"isError": True}}, "tool_error"),
        ({"status": "failed"}, "error"),
        ({"status": "cancelled"}, "cancelled"),
    ],
)
def test_the_end_of_a_task_is_an_outcome(members: dict[str, Any], ending: str) -> None:
    found = state({"taskId": "a", **members})

    assert found is not None
    assert found.ending == ending


@pytest.mark.parametrize(
    ("ttl", "expected"), [(0, 0), (1.5, 1), (10**30, MAX_TTL_MS), (-1, None), (True, None), ("1", None)]
)
def test_the_time_of_a_task_is_bounded_whatever_stands_there(ttl: object, expected: int | None) -> None:
    found = state({"taskId": "a", "status": "working", "ttl": ttl})

    assert found is not None
    assert found.ttl_ms == expected


def test_every_task_that_a_message_names_is_found() -> None:
    meta = {"_meta": {RELATED: {"taskId": "b"}}}

    assert named(message({"method": "tasks/get", "params": {"taskId": "a", **meta}})) == ["a", "b"]
    assert named(message({"method": "tasks/new", "params": {"taskId": "a"}})) == ["a"]
    assert named(message({"method": "ping", "params": meta})) == ["b"]
    assert named(message({"result": meta})) == []  # a task of the client's own, perhaps
    assert named(message({"method": "tools/call", "params": {"name": "x", "taskId": "a"}})) == []


@pytest.mark.parametrize(
    "params",
    [
        {"notifications": {"taskIds": "a"}},
        {"notifications": {"taskIds": ["a", 1]}},
        {"notifications": {"taskIds": ["a"] * (MAX_NAMED + 1)}},
        {"_meta": {RELATED: {}}},
        {"_meta": {RELATED: "a"}},
    ],
)
def test_what_stands_for_a_task_and_cannot_be_one_is_not_passed_over(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|at most"):
        named(message({"method": "subscriptions/listen", "params": params}))


def test_entries_of_a_list_that_are_no_tasks_are_passed_over() -> None:
    entries = [{"taskId": "a", "status": "failed"}, 1, {"taskId": "b"}]

    assert list(listed(message({"result": {"tasks": entries}}))) == [TaskState("a", "error")]
    assert list(listed(message({"result": {"tasks": 1}}))) == []
