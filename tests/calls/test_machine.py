from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ostiary.approvals.request import State
from ostiary.approvals.step import Ask, Crowded, Redeemed, Turned, Waiting
from ostiary.audit.chain import body_of
from ostiary.calls.call import (
    Await,
    Call,
    Consult,
    Emptied,
    Ended,
    Entrust,
    Forward,
    GivenUp,
    NoCatalogue,
    Refused,
    Relayed,
    Waited,
)
from ostiary.calls.journal import Committed, Entry, Exceeded, NotStored
from ostiary.calls.machine import handle
from ostiary.calls.outstanding import outcome as later_outcome
from ostiary.calls.outstanding import outstanding
from ostiary.policy.compile import Compiled, compile_policy
from ostiary.policy.decision import Charge
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.policy.load import document
from ostiary.policy.model import Window
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message
from tests.calls.play import play

LISTED = (
    b'{"version":"1","default":"deny",'
    b'"tools":{"clock":{"limits":[{"counter":"c","window":"minute","max":3}]}}}'
)
CATALOGUE = Catalogue({"clock": ToolDefinition("clock", "sha256:1", {"type": "object"})})
OK = Ended("ok", at=2_000)


def compiled(text: bytes, *, unsafe_monitor: bool = False) -> Compiled:
    found = document(text, file="policy.json", unsafe_monitor=unsafe_monitor).single
    assert found is not None
    return compile_policy(found)


def call(body: bytes, policy: Compiled | None, **more: Any) -> Call:
    message = read_message(body)
    assert isinstance(message, Message)
    return Call(
        id="ev_1",
        received=1_000,
        message=message,
        era="legacy",
        grant="local",
        principal="grant:local",
        server="srv",
        policy=policy,
        **more,
    )


def tool_call(name: str = "clock") -> bytes:
    return (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s","arguments":{"secret":"s3"}}}'
        % (name.encode())
    )


def test_an_allowed_call_is_recorded_before_it_is_forwarded_and_again_after() -> None:
    """P2.15: the intent is durable before anything is forwarded."""
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE],
        Entry: [Committed(), Committed()],
        Forward: [OK],
    }

    commands, outcome = play(handle(call(tool_call(), compiled(LISTED))), replies)

    assert [type(command) for command in commands] == [Consult, Entry, Forward, Entry]
    intent, done = commands[1], commands[3]
    assert isinstance(intent, Entry)
    assert isinstance(done, Entry)
    assert (intent.record.kind, intent.record.decision) == ("intent", "allow")
    assert [charge.ceiling for charge in intent.charges] == [Decimal(3)]
    assert (done.record.kind, done.record.status) == ("outcome", "ok")
    assert done.returns == ()
    assert outcome == Relayed()


def test_a_denied_call_is_recorded_and_never_forwarded() -> None:
    """P2.7: default deny."""
    replies: dict[type, list[object]] = {Consult: [CATALOGUE], Entry: [Committed()]}

    commands, outcome = play(handle(call(tool_call("other"), compiled(LISTED))), replies)

    assert [type(command) for command in commands] == [Consult, Entry]
    denial = commands[1]
    assert isinstance(denial, Entry)
    assert (denial.record.kind, denial.record.rules) == ("denial", ("(default deny)",))
    assert isinstance(outcome, Refused)


HELD = LISTED.replace(b'"limits"', b'"action":"require_approval","reason":"look","limits"')
WAITING = Waiting("apr_1", 9_000_000, joined=False)


def test_a_held_call_asks_in_the_transaction_that_would_let_it_pass() -> None:
    """P2.15, P5.1: intent, reservations and the use of the approval are one entry."""
    replies: dict[type, list[object]] = {Consult: [CATALOGUE], Entry: [WAITING], Await: []}
    held = call(tool_call("clock"), compiled(HELD))
    replies[Await] = [Waited(held, "late")]

    commands, outcome = play(handle(held), replies)

    assert [type(command) for command in commands] == [Consult, Entry, Await]
    entry = commands[1]
    assert isinstance(entry, Entry)
    assert isinstance(entry.step, Ask)
    assert entry.charges
    assert entry.unredeemed is not None
    row = entry.unredeemed(WAITING)
    assert (row.kind, row.decision, row.rules, row.approval) == (
        "denial", "hold", ("/tools/clock/action",), "apr_1",
    )  # fmt: skip
    assert row.reasons == ("look",)
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.approval) == ("pending", WAITING)
    assert "retry the same call" in outcome.message


def test_an_approved_call_is_decided_again_and_forwarded_once() -> None:
    """P2.15: at redemption every step runs again, with the policy in force by then."""
    held = call(tool_call("clock"), compiled(HELD))
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE, CATALOGUE],
        Entry: [WAITING, Redeemed("apr_1"), Committed()],
        Await: [Waited(held, "answered")],
        Forward: [Ended("ok", at=2)],
    }

    commands, outcome = play(handle(held), replies)

    assert [type(one) for one in commands] == [Consult, Entry, Await, Consult, Entry, Forward, Entry]
    assert outcome == Relayed()


def test_a_policy_that_denies_by_the_time_of_the_approval_denies() -> None:
    """P2.15: an approval lifts a hold, never a denial."""
    held = call(tool_call("clock"), compiled(HELD))
    later = msgspec.structs.replace(held, policy=compiled(b'{"version":"1","default":"deny"}'))
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE, CATALOGUE],
        Entry: [WAITING, Committed()],
        Await: [Waited(later, "answered")],
    }

    commands, outcome = play(handle(held), replies)

    assert Forward not in {type(command) for command in commands}
    assert isinstance(outcome, Refused)
    assert outcome.rules == ("(default deny)",)


def test_a_call_waits_for_a_person_at_most_once() -> None:
    """P5.2: whose approval was used by somebody else, or whose policy changed, is told to come back."""
    held = call(tool_call("clock"), compiled(HELD))
    again = Waiting("apr_2", 9_000_000, joined=False)
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE, CATALOGUE],
        Entry: [WAITING, again],
        Await: [Waited(held, "answered")],
    }

    commands, outcome = play(handle(held), replies)

    assert Forward not in {type(command) for command in commands}
    assert isinstance(outcome, Refused)
    assert outcome.approval == again


@pytest.mark.parametrize(
    ("state", "rule", "said"),
    [
        ("expired", "(approval expired)", "Nobody answered request apr_1 in time."),
        ("cancelled", "(approval cancelled)", "Request apr_1 does not count any more: why."),
        ("consumed", "(approval used)", "The approval apr_1 was used by another call"),
        ("denied", "(approval denied)", "A person denied this call: why."),
    ],
)
def test_a_call_that_waited_asks_nobody_again_and_is_told_what_became_of_it(
    state: State, rule: str, said: str
) -> None:
    """P5.9: the second entry names the request that the call has waited for."""
    held = call(tool_call("clock"), compiled(HELD))
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE, CATALOGUE],
        Entry: [WAITING, Turned("apr_1", state, "why", 9_000_000)],
        Await: [Waited(held, "answered")],
    }

    commands, outcome = play(handle(held), replies)

    asked = [one.step for one in commands if isinstance(one, Entry)]
    assert [one.waited for one in asked if isinstance(one, Ask)] == ["", "apr_1"]
    assert isinstance(outcome, Refused)
    assert outcome.rules == (rule,)
    assert said in outcome.message


@pytest.mark.parametrize(
    "reply", [Committed(), Turned("apr_1", "denied", "no", 9), Crowded(), NotStored("x")]
)
def test_a_held_call_passes_only_by_what_it_redeems(reply: object) -> None:
    """P5.1: no other answer of the store lets it pass, not even that its row is written."""
    replies: dict[type, list[object]] = {Consult: [CATALOGUE], Entry: [reply]}

    commands, outcome = play(handle(call(tool_call("clock"), compiled(HELD))), replies)

    assert Forward not in {type(command) for command in commands}
    assert isinstance(outcome, Refused)


def test_a_call_whose_client_has_gone_is_not_sent_when_it_is_approved() -> None:
    """P5.2: it stays redeemable, and nothing runs that nobody waits for."""
    held = call(tool_call("clock"), compiled(HELD))
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE],
        Entry: [WAITING],
        Await: [Waited(held, "gone")],
    }

    commands, outcome = play(handle(held), replies)

    assert Forward not in {type(command) for command in commands}
    assert outcome == GivenUp()


def test_a_call_without_a_policy_is_denied_without_asking_the_upstream_anything() -> None:
    """P2.4: a grant without a policy."""
    commands, outcome = play(handle(call(tool_call(), None)), {Entry: [Committed()]})

    assert [type(command) for command in commands] == [Entry]
    assert isinstance(outcome, Refused)
    assert outcome.rules == ("(no policy)",)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(NotStored("disk full"), "store"), (Exceeded("/tools/clock/limits/0", 1_500), "limited")],
)
def test_a_call_that_is_not_on_record_or_not_reserved_is_never_forwarded(reply: object, kind: str) -> None:
    """P2.15: reserved and recorded, all or none, or not forwarded."""
    replies: dict[type, list[object]] = {Consult: [CATALOGUE], Entry: [reply]}

    commands, outcome = play(handle(call(tool_call(), compiled(LISTED))), replies)

    assert Forward not in {type(command) for command in commands}
    assert isinstance(outcome, Refused)
    assert outcome.kind == kind


def test_a_tool_list_that_cannot_be_read_denies() -> None:
    """P2.8: what cannot be checked is not forwarded."""
    replies: dict[type, list[object]] = {Consult: [NoCatalogue("timed out")], Entry: [Committed()]}

    commands, outcome = play(handle(call(tool_call(), compiled(LISTED))), replies)

    assert [type(command) for command in commands] == [Consult, Entry]
    assert isinstance(outcome, Refused)
    assert outcome.rules == ("(unknown tool)",)


@pytest.mark.parametrize(
    ("status", "returned"),
    [("not_sent", 1), ("ok", 0), ("error", 0), ("tool_error", 0), ("unknown", 0), ("cancelled", 0)],
)
def test_a_quota_is_returned_only_when_the_call_provably_never_left(status: Any, returned: int) -> None:
    """P4.4: otherwise code that fails on purpose runs for free."""
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE],
        Entry: [Committed(), Committed()],
        Forward: [Ended(status, at=2_000)],
    }

    commands, _ = play(handle(call(tool_call(), compiled(LISTED))), replies)

    done = commands[3]
    assert isinstance(done, Entry)
    assert len(done.returns) == returned


@pytest.mark.parametrize(
    ("status", "freed"),
    [
        ("ok", 1),
        ("tool_error", 1),
        ("not_sent", 1),
        ("unknown", 0),
        ("cancelled", 0),
    ],
)
def test_a_slot_is_freed_by_any_known_outcome_and_held_through_an_unknown_one(
    status: Any, freed: int
) -> None:
    """P4.4: a slot with unknown outcome is held until its lease ends."""
    policy = compiled(
        b'{"version":"1","default":"deny","tools":{"clock":{"limits":[{"counter":"t","max_concurrent":2}]}}}'
    )
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE],
        Entry: [Committed(), Committed()],
        Forward: [Ended(status, at=2_000)],
    }

    commands, _ = play(handle(call(tool_call(), policy)), replies)

    done = commands[3]
    assert isinstance(done, Entry)
    assert len(done.returns) == freed


def test_refund_on_error_returns_what_a_failed_call_took() -> None:
    """P4.4: `refund: on_error` changes this per limit."""
    policy = compiled(
        b'{"version":"1","default":"deny","tools":{"clock":{"limits":'
        b'[{"counter":"c","window":"minute","max":3,"refund":"on_error"}]}}}'
    )
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE],
        Entry: [Committed(), Committed()],
        Forward: [Ended("tool_error", at=2_000)],
    }

    commands, _ = play(handle(call(tool_call(), policy)), replies)

    done = commands[3]
    assert isinstance(done, Entry)
    assert len(done.returns) == 1


def test_monitor_mode_records_what_it_would_have_done_and_spends_nothing() -> None:
    """P8.1: nothing is enforced, quotas count in a ledger of their own."""
    policy = compiled(LISTED[:-1] + b',"mode":"monitor"}', unsafe_monitor=True)
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE],
        Entry: [Exceeded("/tools/clock/limits/0", 5), Committed()],
        Forward: [OK],
    }

    commands, outcome = play(handle(call(tool_call(), policy)), replies)

    intent = commands[1]
    assert isinstance(intent, Entry)
    assert intent.record.enforced is False
    assert all(charge.key.startswith("monitor:") for charge in intent.charges)
    assert intent.denied is not None
    assert intent.denied(Exceeded("r", 5)).enforced is False
    assert outcome == Relayed()


def test_no_record_ever_holds_an_argument_value() -> None:
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE],
        Entry: [Committed(), Committed()],
        Forward: [OK],
    }

    commands, _ = play(handle(call(tool_call(), compiled(LISTED))), replies)

    entries = [command for command in commands if isinstance(command, Entry)]
    assert "s3" not in repr([entry.record for entry in entries])
    assert entries[0].record.args_keys == ("secret",)


@pytest.mark.parametrize(
    ("uri", "recorded"),
    [
        ("https://user:pw@host/a?token=t0p#f", "https://host/a"),
        ("scheme://a@b:secret@host/a", "scheme://host/a"),
        ("data:text/plain;base64,c2VjcmV0", "data:"),
        ("memo:insights", "memo:insights"),
    ],
)
def test_a_resource_is_recorded_without_query_credentials_and_content(uri: str, recorded: str) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"%s"}}' % uri.encode()

    commands, _ = play(handle(call(body, compiled(LISTED))), {Entry: [Committed()]})

    entry = commands[0]
    assert isinstance(entry, Entry)
    assert entry.record.tool == recorded


def test_a_listing_is_answered_empty_by_the_gate_under_default_deny() -> None:
    """P6: answered empty."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"prompts/list"}'

    commands, outcome = play(handle(call(body, compiled(LISTED))), {Entry: [Committed()]})

    assert [type(command) for command in commands] == [Entry]
    assert outcome == Emptied()


def test_an_unknown_method_under_default_allow_is_recorded_before_it_is_forwarded() -> None:
    """P6: under default allow all pass; what is not known is recorded first."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"vendor/run"}'
    policy = compiled(b'{"version":"1","default":"allow"}')
    replies: dict[type, list[object]] = {Entry: [Committed(), Committed()], Forward: [OK]}

    commands, _ = play(handle(call(body, policy)), replies)

    assert [type(command) for command in commands] == [Entry, Forward, Entry]


def test_a_notification_is_recorded_once_after_it_was_forwarded() -> None:
    body = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'

    commands, _ = play(handle(call(body, compiled(LISTED))), {Entry: [Committed()], Forward: [OK]})

    assert [type(command) for command in commands] == [Forward, Entry]


def test_an_answer_to_a_server_request_that_policy_denies_is_not_forwarded() -> None:
    """P6: sampling is denied under default deny, so an answer to it has nowhere to go."""
    body = b'{"jsonrpc":"2.0","id":7,"result":{}}'

    commands, outcome = play(
        handle(call(body, compiled(LISTED), answers="sampling/createMessage")), {Entry: [Committed()]}
    )

    assert [type(command) for command in commands] == [Entry]
    assert isinstance(outcome, Refused)


def test_a_message_that_is_not_on_record_is_not_forwarded_whatever_its_method() -> None:
    """The decision is on record before anything acts on it."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"vendor/run"}'
    policy = compiled(b'{"version":"1","default":"allow"}')

    commands, outcome = play(handle(call(body, policy)), {Entry: [NotStored("disk full")]})

    assert [type(command) for command in commands] == [Entry]
    assert isinstance(outcome, Refused)
    assert outcome.kind == "store"


def test_monitor_mode_does_not_hold_a_call_because_the_tool_list_cannot_be_read() -> None:
    """P8.1: steps 6-15 of P2 are suspended; the call is still recorded before it is forwarded."""
    policy = compiled(
        b'{"version":"1","mode":"monitor","default":"deny","tools":{"clock":{}}}', unsafe_monitor=True
    )
    replies: dict[type, list[object]] = {
        Consult: [NoCatalogue("timed out")],
        Entry: [Committed(), Committed()],
        Forward: [OK],
    }

    commands, outcome = play(handle(call(tool_call(), policy)), replies)

    assert [type(command) for command in commands] == [Consult, Entry, Forward, Entry]
    assert outcome == Relayed()


def test_a_record_stays_small_however_long_the_names_and_however_many_the_rules() -> None:
    """A caller must not be able to fill the disk with one denied message."""
    long = b"x" * 100_000
    body = b'{"jsonrpc":"2.0","id":1,"method":"%b"}' % long
    commands, _ = play(handle(call(body, compiled(LISTED))), {Entry: [Committed()]})
    assert isinstance(commands[0], Entry)
    assert len(body_of(commands[0].record)) < 2_000

    rules = [{"conditions": [], "on_deny": "no"}] * 5_000
    text = json.dumps({"version": "1", "default": "deny", "tools": {"clock": {"deny_if": rules}}})
    replies: dict[type, list[object]] = {Consult: [CATALOGUE], Entry: [Committed()]}
    commands, _ = play(handle(call(tool_call(), compiled(text.encode()))), replies)
    assert isinstance(commands[1], Entry)
    record = commands[1].record
    assert len(record.rules) == 32
    assert record.reasons[-1] == "and 4968 more"


def test_a_call_that_became_a_task_hands_over_what_it_holds_and_has_no_outcome_yet() -> None:
    """P4.4: its slots are held until the task is over."""
    later = Ended("ok", at=2_000, later="task")
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE], Entry: [Committed()], Forward: [later], Entrust: [None],
    }  # fmt: skip

    commands, outcome = play(handle(call(tool_call(), compiled(LISTED))), replies)

    assert [type(command) for command in commands] == [Consult, Entry, Forward, Entrust]
    intent, entrusted = commands[1], commands[3]
    assert isinstance(intent, Entry)
    assert entrusted == Entrust(intent.charges)
    assert outcome == Relayed()


def test_a_call_that_may_be_answered_elsewhere_is_unknown_and_hands_over_what_it_holds() -> None:
    """The answer may come on a resumed stream."""
    later = Ended("unknown", at=2_000, later="stream")
    replies: dict[type, list[object]] = {
        Consult: [CATALOGUE], Entry: [Committed(), Committed()], Forward: [later], Entrust: [None],
    }  # fmt: skip

    commands, _ = play(handle(call(tool_call(), compiled(LISTED))), replies)

    assert [type(command) for command in commands] == [Consult, Entry, Forward, Entry, Entrust]
    done = commands[3]
    assert isinstance(done, Entry)
    assert (done.record.status, done.returns) == ("unknown", ())


def test_an_outcome_that_comes_later_has_the_id_of_its_call_and_frees_its_slot() -> None:
    """P4.4: also where the task was cancelled, since it is certain then that it is over."""
    made = call(tool_call(), compiled(LISTED))
    slot = Charge("k", "/r", Decimal(1), Decimal(1), None)
    window = Charge("w", "/r", Decimal(1), Decimal(3), Window(60))

    cancelled = later_outcome(outstanding(made), Ended("cancelled", at=made.received + 5), (slot, window))
    unknown = later_outcome(outstanding(made), Ended("unknown", at=2_000), (slot, window))

    record = cancelled.record
    assert (record.id, record.kind, record.tool, record.latency_us) == (made.id, "outcome", "clock", 5)
    assert (cancelled.returns, unknown.returns) == ((slot,), ())
