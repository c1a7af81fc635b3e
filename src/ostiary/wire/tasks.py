"""What messages about tasks say, in both shapes: MCP 2025-11-25 and the tasks extension of 2026-07-28.

Legacy: the client asks with `task`, the answer holds a `task` object, and what came of it is
fetched with tasks/result. Modern: the server answers with `resultType: "task"`, and tasks/get
brings the result too (SEP-2663).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Literal, NamedTuple, cast

from ostiary.wire.message import Message, as_object

RELATED = "io.modelcontextprotocol/related-task"

NAMING = frozenset({"tasks/get", "tasks/result", "tasks/update", "tasks/cancel"})
"""Requests of a client that name one task."""

EXTENSION = "io.modelcontextprotocol/tasks"

_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"

MAX_NAMED = 1_024
"""Most tasks that one message may name."""

MAX_TTL_MS = 30 * 24 * 3_600_000
"""Longest time, in milliseconds, that a task is remembered: thirty days."""

Ending = Literal["", "ok", "tool_error", "error", "cancelled"]
"""How a task ended, as the outcome of the call that made it; empty while it goes on."""


class TaskState(NamedTuple):
    """One task, as a message describes it. `ttl_ms` is None where it says nothing usable."""

    id: str
    ending: Ending
    ttl_ms: int | None = None


def declared(message: Message) -> bool:
    """Whether a modern request says that its client knows tasks."""
    meta = as_object(message.params.get("_meta")) or {}
    capabilities = as_object(meta.get(_CAPABILITIES)) or {}
    return EXTENSION in (as_object(capabilities.get("extensions")) or {})


def created(result: Mapping[str, object]) -> TaskState | None:
    """The task that a result stands for, or None when it is an ordinary result."""
    if result.get("resultType") == "task":
        return state(result)
    members = as_object(result.get("task"))
    return None if members is None else state(members)


def state(members: Mapping[str, object]) -> TaskState | None:
    """The task that `members` (a result, parameters, an entry of a list) describe."""
    name, status = members.get("taskId"), members.get("status")
    if not isinstance(name, str) or not isinstance(status, str):
        return None
    ttl = _milliseconds(members["ttlMs"] if "ttlMs" in members else members.get("ttl"))
    return TaskState(name, _ending(status, members), ttl)


def listed(message: Message) -> Iterator[TaskState]:
    """The tasks in a tasks/list answer."""
    result = as_object(message.envelope.get("result")) or {}
    entries = result.get("tasks")
    for entry in cast("list[object]", entries) if isinstance(entries, list) else []:
        described = state(as_object(entry) or {})
        if described is not None:
            yield described


def lists_tasks(message: Message) -> bool:
    """Whether an answer of an unknown request may be one to tasks/list."""
    return "tasks" in (as_object(message.envelope.get("result")) or {})


def result_ending(message: Message) -> Ending:
    """How a task ended whose tasks/result answer is `message`.

    An error says nothing: it may be about the question instead, which its client worded.
    """
    if "error" in message.envelope:
        return ""
    result = as_object(message.envelope.get("result")) or {}
    return "tool_error" if result.get("isError") is True else "ok"


def named(message: Message) -> list[str]:
    """Every task of the server that a client's message names, in the order they stand.

    What answers and notifications of a client belong to may be a task of its own.

    Raises ValueError where something stands for a task that cannot be one, or too much does.
    """
    names: list[object] = []
    if message.method in NAMING or (message.method.startswith("tasks/") and "taskId" in message.params):
        names.append(message.params.get("taskId"))
    if message.method == "subscriptions/listen":
        wanted = (as_object(message.params.get("notifications")) or {}).get("taskIds", [])
        if not isinstance(wanted, list):
            raise ValueError("`taskIds` must be an array")
        if len(cast("list[object]", wanted)) > MAX_NAMED:
            raise ValueError(f"`taskIds` may name {MAX_NAMED} tasks at most")
        names += cast("list[object]", wanted)
    meta = as_object(message.params.get("_meta"))
    if meta is not None and RELATED in meta and message.kind == "request":
        names.append((as_object(meta[RELATED]) or {}).get("taskId"))
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a task id must be a string")
    return cast("list[str]", names)


def related(message: Message) -> str | None:
    """The task that a message of the server says it belongs to."""
    meta = as_object(message.params.get("_meta")) or {}
    name = (as_object(meta.get(RELATED)) or {}).get("taskId")
    return name if isinstance(name, str) else None


def _ending(status: str, members: Mapping[str, object]) -> Ending:
    if status == "completed":
        result = as_object(members.get("result")) or {}
        return "tool_error" if result.get("isError") is True else "ok"
    if status == "failed":
        return "error"
    return "cancelled" if status == "cancelled" else ""


def _milliseconds(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or value < 0:
        return None
    return MAX_TTL_MS if value >= MAX_TTL_MS else int(value)
