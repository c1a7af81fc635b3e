"""What happens to one client message, as data: commands go out, replies come in.

Nothing here waits, opens or writes. `calls.driver` performs each command and sends the reply
back, so the whole life of a call reads from top to bottom and is tested without a socket, a
database or a clock.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import cast

from ostiary.approvals.step import Ask, Redeemed, Waiting
from ostiary.audit.record import Record
from ostiary.calls import asking, records
from ostiary.calls.call import (
    Await,
    Call,
    Consult,
    Consulted,
    Emptied,
    Ended,
    Entrust,
    Formed,
    Forward,
    GivenUp,
    Outcome,
    Refused,
    Relayed,
    Waited,
)
from ostiary.calls.journal import Committed, Entry, Exceeded, NotStored, Reply
from ostiary.calls.outstanding import returned
from ostiary.calls.stop import RULE, Stop
from ostiary.policy.decide import decide
from ostiary.policy.decision import Charge, Decision, Hold, Question
from ostiary.policy.definition import Catalogue
from ostiary.policy.methods import MethodDecision, decide_method
from ostiary.policy.reach import wants_catalogue
from ostiary.policy.subscriptions import LISTEN, decide_listen

Command = Consult | Entry | Await | Forward | Entrust
Steps = Generator[Command, object, Outcome]

CONSULT = Consult()
FORWARD = Forward()

RECORDED_AFTER = frozenset(
    {
        "initialize",
        "server/discover",
        "ping",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
        "logging/setLevel",
        "subscriptions/listen",
    }
)
"""Methods with one row after the fact; whatever is not named here is recorded before (fail closed)."""

UNAVAILABLE = "the tool list of the server could not be read, so the call was not forwarded; try again"
STORE_DOWN = "the gateway could not record this call, so it was not forwarded; try again later"


_LIMIT_REASONS = {
    "limit": "the limit is reached",
    "buckets": "the limit already counts as many values as it may",
    "amount": "the cost is not a number that can be counted",
}


def handle(call: Call) -> Steps:
    """Decide `call`, record the decision, then carry it out."""
    if call.message.method == "tools/call":
        return _tool_call(call)
    if call.stopped is not None and not _has_no_policy(call):
        return _stopped(call, call.stopped)
    return _other(call)


def _tool_call(call: Call) -> Steps:
    """The path of `tools/call`.

    (1) Get the tool list, where the policy needs it, unless a stop is in force. (2) Decide.
    (3) Record the denial, or reserve the limits and record the intent in one transaction, which
    also uses up the approval where the policy holds the call. (4) Where there is none, let the
    client wait for a person, once, and begin anew. (5) Forward. (6) Record the outcome and return
    what must be returned; where more is to come, hand the rest over.
    """
    waited = ""
    while True:
        enforced = call.policy is None or not call.policy.monitor

        # (1)
        catalogue = yield from _listed(call, enforced=enforced)
        if catalogue is not None and not isinstance(catalogue, Catalogue):
            return catalogue

        # (2)
        decision = decide(call.policy, _question(call, catalogue))
        hold = decision.hold if enforced else None
        if decision.effect != "allow" and hold is None and enforced:
            refusal = Refused("denied", decision.message, decision.rules)
            return (yield from _refuse(call, refusal, decision.reasons))

        # (3)
        charges = decision.charges if enforced else tuple(_shadow(charge) for charge in decision.charges)
        asked = None if hold is None else asking.ask(call, hold, catalogue, waited)
        if isinstance(asked, Refused):
            return (yield from _refuse(call, asked))
        reply = cast("Reply", (yield _intent(call, decision, charges, asked, enforced=enforced)))
        if not isinstance(reply, Waiting) or hold is None:
            break

        # (4)
        if waited or call.form is not None:
            return asking.pending(reply, hold)
        answer = cast("Waited", (yield Await(reply, hold)))
        if answer.how != "answered":
            return _not_answered(answer, reply, hold)
        call, waited = answer.call, reply.id

    refused = _not_reserved(reply, asked, enforced=enforced)
    if refused is not None:
        return refused

    # (5)
    ended = cast("Ended", (yield FORWARD))

    # (6)
    yield from _ended(call, ended, charges)
    return Relayed()


def _listed(call: Call, *, enforced: bool) -> Generator[Command, object, Catalogue | Outcome | None]:
    """The tool list, None where none is needed; or how the call ends before that."""
    if call.policy is None:
        return None
    if call.stopped is not None:
        return (yield from _stopped(call, call.stopped))
    if not (call.locked or wants_catalogue(call.policy)):
        return None
    consulted = cast("Consulted", (yield CONSULT))
    if isinstance(consulted, Catalogue):
        return consulted
    if consulted.stopped is not None:
        return (yield from _stopped(call, consulted.stopped))
    if not enforced:
        return None
    return (
        yield from _refuse(call, Refused("upstream", UNAVAILABLE, ("(unknown tool)",)), (consulted.reason,))
    )


def _not_answered(answer: Waited, waiting: Waiting, hold: Hold) -> Outcome:
    """How a wait ends that brought no answer; the request stays, and can be redeemed later."""
    if answer.how == "gone":
        return GivenUp()
    if answer.how == "form":
        return Formed(waiting, hold)
    return asking.pending(waiting, hold)


def _other(call: Call) -> Steps:
    """The path of every other message: same order, no limits (P6)."""
    verdict = _method_verdict(call)
    enforced = call.policy is None or not call.policy.monitor
    if verdict.effect == "deny" and enforced:
        return (yield from _refuse(call, Refused("denied", verdict.message, verdict.rules)))
    if verdict.effect == "empty" and enforced:
        yield Entry(records.decided(call, "event", "empty", verdict.rules))
        return Emptied()
    if _recorded_after(call):
        ended = cast("Ended", (yield FORWARD))
        yield Entry(records.passed(call, ended, verdict.rules))
        return Relayed()
    decision = "allow" if verdict.effect == "allow" else "deny"
    reply = yield Entry(records.decided(call, "intent", decision, verdict.rules, enforced=enforced))
    if not isinstance(reply, Committed):
        return Refused("store", STORE_DOWN, ("(store)",))
    ended = cast("Ended", (yield FORWARD))
    yield from _ended(call, ended, ())
    return Relayed()


def _ended(call: Call, ended: Ended, charges: tuple[Charge, ...]) -> Generator[Entry | Entrust, object, None]:
    """The outcome. That of a call which became a task is written when the task is over."""
    if ended.later != "task":
        returns = _returned(charges, ended)
        yield Entry(records.outcome(call, ended), returns=returns, late=not returns)
    if ended.later:
        yield Entrust(charges)


def _has_no_policy(call: Call) -> bool:
    """Whether `(no policy)`, which is asked before a stop, denies this (P2.4)."""
    return call.policy is None and _method_verdict(call).effect == "deny"


def _stopped(call: Call, stop: Stop) -> Generator[Entry, object, Outcome]:
    return _refuse(call, Refused("stopped", stop.text, (RULE,)), (stop.note,))


def _recorded_after(call: Call) -> bool:
    kind = call.message.kind
    return kind == "notification" or (kind == "request" and call.message.method in RECORDED_AFTER)


def _method_verdict(call: Call) -> MethodDecision:
    """A client's response is judged as the server's request it answers."""
    message = call.message
    if message.kind == "response":
        return decide_method(call.policy, call.answers, {}, from_server=True)
    if message.method == LISTEN:
        return decide_listen(call.policy, message.params)
    return decide_method(call.policy, message.method, message.params, from_server=False)


def _refuse(call: Call, refusal: Refused, reasons: tuple[str, ...] = ()) -> Generator[Entry, object, Outcome]:
    yield Entry(records.decided(call, "denial", "deny", refusal.rules, reasons, refusal.message))
    return refusal


def _question(call: Call, catalogue: Catalogue | None) -> Question:
    params = call.message.params
    arguments = params.get("arguments")
    return Question(
        tool=cast("str", params["name"]),
        arguments=cast("Mapping[str, object]", arguments) if arguments is not None else {},
        grant=call.grant,
        server=call.server,
        track=call.track,
        catalogue=catalogue,
        locked=call.locked,
    )


def _intent(
    call: Call, decision: Decision, charges: tuple[Charge, ...], asked: Ask | None, *, enforced: bool
) -> Entry:
    """The row before forwarding. A held call is allowed by what it redeems, not by the policy alone."""
    effect = decision.effect if asked is None else "allow"
    record = records.decided(call, "intent", effect, decision.rules, decision.reasons, enforced=enforced)

    def denied(exceeded: Exceeded) -> Record:
        reasons = (_LIMIT_REASONS.get(exceeded.reason, exceeded.reason),)
        kind = "denial" if enforced else "intent"
        text = _limit_text(exceeded)
        return records.decided(call, kind, "deny", (exceeded.rule,), reasons, text, enforced=enforced)

    if asked is None or decision.hold is None:
        return Entry(record, charges, denied=denied)
    unredeemed = asking.row_of(call, decision.hold)
    return Entry(record, charges, denied=denied, step=asked, unredeemed=unredeemed)


def _not_reserved(reply: Reply, asked: Ask | None, *, enforced: bool) -> Refused | None:
    """A refusal, unless the intent is on record, every limit reserved, and what was asked for redeemed."""
    if isinstance(reply, Committed if asked is None else Redeemed):
        return None
    if isinstance(reply, NotStored):
        return Refused("store", STORE_DOWN, ("(store)",))
    if not enforced:
        return None
    if isinstance(reply, Exceeded):
        return Refused("limited", _limit_text(reply), (reply.rule,), reply.retry_after_ms)
    if isinstance(reply, Committed):  # to a call that nobody approved
        return Refused("store", STORE_DOWN, ("(store)",))
    return asking.refusal(reply)


def _limit_text(exceeded: Exceeded) -> str:
    if exceeded.message:
        return exceeded.message
    if exceeded.retry_after_ms is None:
        return "this call is above what its limit allows at all; waiting does not help"
    seconds = max(1, -(-exceeded.retry_after_ms // 1000))
    return f"a limit of this tool is reached; try again in {seconds} s"


def _returned(charges: tuple[Charge, ...], ended: Ended) -> tuple[Charge, ...]:
    """Of a cancelled call nobody knows whether the upstream still works on it: its slot is held."""
    return returned(charges, ended, over=ended.status not in ("unknown", "cancelled"))


def _shadow(charge: Charge) -> Charge:
    """The same charge on a counter of its own, so that monitoring spends nothing (P8.1)."""
    return Charge(
        key=f"monitor:{charge.key}",
        rule=charge.rule,
        amount=charge.amount,
        ceiling=charge.ceiling,
        window=charge.window,
        bucket_of=f"monitor:{charge.bucket_of}",
        refund_on_error=charge.refund_on_error,
        lease_seconds=charge.lease_seconds,
        message=charge.message,
    )
