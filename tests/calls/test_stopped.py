"""A call that a stop covers is denied before anything is asked or sent (P2.5)."""

from __future__ import annotations

import json

from ostiary.calls.call import Call, Consult, Ended, Forward, NoCatalogue, Refused
from ostiary.calls.journal import Committed, Entry
from ostiary.calls.machine import handle
from ostiary.calls.stop import UNREADABLE, Scope, Stop
from ostiary.policy.compile import Compiled
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.proxy.policy_file import activate
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message
from tests.calls.play import play

TOOLS = Catalogue({"echo": ToolDefinition("echo", "sha256:x", {"type": "object"}, b"{}")})
STOP = Stop(7, Scope("grant", "local"), 1, "ada", "a secret reason")


def policy(**more: object) -> Compiled:
    content = json.dumps({"version": "1", "default": "deny", "tools": {"echo": {}}, **more}).encode()
    return activate(content, file="p.json", server="up", unsafe_monitor=True, conceal=lambda text: text)


PARAMS: dict[str, object] = {
    "protocolVersion": "2025-11-25",
    "name": "echo",
    "uri": "file:///x",
    "taskId": "t",
}
PARAMS |= {
    "level": "info",
    "ref": {"type": "ref/prompt", "name": "x"},
    "argument": {"name": "a", "value": "b"},
}


def message(method: str) -> Message:
    read = read_message(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": PARAMS}).encode())
    assert isinstance(read, Message)
    return read


def call(method: str, under: Compiled | None, stop: Stop | None = STOP) -> Call:
    return Call("ev_1", 1, message(method), "legacy", "local", "p", "up", under, stopped=stop)


METHODS = (
    "initialize", "ping", "tools/list", "resources/list", "prompts/get", "resources/read",
    "completion/complete", "logging/setLevel", "tasks/get", "unknown/method",
)  # fmt: skip


def test_a_stopped_tool_call_leaves_one_denial_and_no_other_command() -> None:
    commands, outcome = play(handle(call("tools/call", policy())), {Entry: [Committed()]})

    assert [type(one) for one in commands] == [Entry]
    assert isinstance(commands[0], Entry)
    record = commands[0].record
    assert (record.kind, record.decision, record.rules) == ("denial", "deny", ("(stopped)",))
    assert record.reasons == ("stop 7: grant `local`",)
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.rules) == ("stopped", ("(stopped)",))


def test_every_other_method_is_stopped_too_whatever_the_policy_says_of_it() -> None:
    for default in ("allow", "deny"):
        for method in METHODS:
            commands, outcome = play(handle(call(method, policy(default=default))), {Entry: [Committed()]})

            assert [type(one) for one in commands] == [Entry], method
            assert isinstance(outcome, Refused), method
            assert outcome.rules == ("(stopped)",), method


def test_monitoring_does_not_suspend_a_stop() -> None:
    """P8.1."""
    watching = policy(mode="monitor")

    commands, outcome = play(handle(call("tools/call", watching)), {Entry: [Committed()]})

    assert [type(one) for one in commands] == [Entry]
    assert isinstance(outcome, Refused)


def test_a_grant_without_a_policy_is_denied_for_that_first() -> None:
    """P2.4 comes before P2.5; what no policy would let through is stopped nevertheless."""
    for method, rule in (
        ("tools/call", "(no policy)"),
        ("resources/read", "(no policy)"),
        ("ping", "(stopped)"),
    ):
        commands, outcome = play(handle(call(method, None)), {Entry: [Committed()]})

        assert not any(isinstance(one, Forward | Consult) for one in commands), method
        assert isinstance(outcome, Refused), method
        assert outcome.rules == (rule,), method


def test_a_stop_that_comes_while_the_tools_are_listed_is_the_answer() -> None:
    steps = handle(call("tools/call", policy(), None))
    replies = {Consult: [NoCatalogue("stopped", stopped=STOP)], Entry: [Committed()]}

    commands, outcome = play(steps, replies)

    assert [type(one) for one in commands] == [Consult, Entry]
    assert isinstance(outcome, Refused)
    assert outcome.rules == ("(stopped)",)


def test_a_call_that_was_stopped_before_it_left_gives_everything_back() -> None:
    limits = [{"counter": "n", "window": "hour", "max": 3, "scope": "grant"}]
    limited = policy(default="allow", tools={"echo": {"limits": limits}})
    ended = Ended("not_sent", 2, note=STOP.note)
    steps = handle(call("tools/call", limited, None))

    commands, _ = play(steps, {Consult: [TOOLS], Entry: [Committed(), Committed()], Forward: [ended]})

    _, intent, _, outcome = commands
    assert isinstance(intent, Entry)
    assert isinstance(outcome, Entry)
    assert len(intent.charges) == 1
    assert outcome.returns == intent.charges
    assert (outcome.record.status, outcome.record.note) == ("not_sent", STOP.note)


def test_neither_who_nor_why_is_told_to_a_client() -> None:
    for stop in (STOP, Stop(1, Scope("all"), 1, "ada", "a secret reason"), UNREADABLE):
        for text in (stop.text, stop.text_in_flight):
            assert text.startswith("stopped: ")
            assert "ada" not in text
            assert "secret" not in text
            assert "local" not in text
