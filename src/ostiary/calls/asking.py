"""A call that a person has to approve first: what is asked, recorded and said (P2.14, P5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import cast

from ostiary.approvals.digest import TooLargeError, canonical_call
from ostiary.approvals.request import Request
from ostiary.approvals.step import MAX_PENDING, Answer, Ask, Crowded, Turned, Waiting
from ostiary.audit.record import Record
from ostiary.calls import records
from ostiary.calls.call import Call, Refused
from ostiary.policy.decision import Hold
from ostiary.policy.definition import Catalogue

DENIED = "(approval denied)"
CANCELLED = "(approval cancelled)"
EXPIRED = "(approval expired)"
USED = "(approval used)"
CROWDED = "(approvals crowded)"
TOO_LARGE = "(approval too large)"

SECOND = 1_000_000


ROUND = ("inputResponses", "requestState")
"""What a later round of a call carries besides its arguments (MCP 2026-07-28)."""


def ask(call: Call, hold: Hold, catalogue: Catalogue | None, waited: str = "") -> Ask | Refused:
    """The request that `call` needs approved; a refusal if nobody could read it.

    `waited` is the request that the call has waited for already. Each round of a call that its
    server asks back about is a request of its own: the answers are shown, and are not those of
    another round.
    """
    name, params = records.subject_of(call), call.message.params
    arguments = cast("Mapping[str, object]", params.get("arguments") or {})
    later = {key: params[key] for key in ROUND if key in params}
    try:
        content = canonical_call(call.message.method, _name(call), arguments, later)
    except TooLargeError as error:
        message = f'The arguments of tool "{name}" are too large for a person to approve. Make them smaller.'
        return Refused("denied", f"{message} ({error})", (TOO_LARGE, *hold.rules))
    definition = None if catalogue is None else catalogue.definitions.get(_name(call))
    request = Request(
        id="apr_" + call.id.removeprefix("ev_"),
        grant=call.grant,
        principal=call.principal,
        server=call.server,
        tool=_name(call),
        definition="" if definition is None else definition.digest,
        revision=call.policy.revision if call.policy else "",
        digest="",  # the store fills it in: it has the key
        asked=call.received,
        expires=call.received + hold.timeout_seconds * SECOND,
        rules=hold.rules[: records.MAX_RULES],
        reasons=tuple(reason[: records.MAX_REASON] for reason in hold.reasons[: records.MAX_RULES]),
        approvers=tuple(tuple(sorted(names)) for names in hold.approvers),
        message=hold.message,
        convenience=hold.convenience,
        args_keys=records.argument_keys(call),
        evaluation=call.id,
    )
    return Ask(request, content, call.form if hold.convenience else None, waited)


def row_of(call: Call, hold: Hold) -> Callable[[Answer], Record]:
    """What makes the row of a call that was not redeemed."""

    def row(answer: Answer) -> Record:
        if isinstance(answer, Waiting):
            note = "joined" if answer.joined else ""
            held = records.decided(
                call, "denial", "hold", hold.rules, hold.reasons, pending_text(answer), note=note
            )
            return records.about_approval(held, answer.id)
        refused = refusal(answer)
        reasons = (answer.note,) if isinstance(answer, Turned) and answer.note else ()
        denied = records.decided(call, "denial", "deny", refused.rules, reasons, refused.message)
        return records.about_approval(denied, answer.id) if isinstance(answer, Turned) else denied

    return row


def pending(waiting: Waiting, hold: Hold) -> Refused:
    """The client is told to come back with the same call."""
    return Refused("pending", pending_text(waiting), hold.rules, approval=waiting)


def pending_text(waiting: Waiting) -> str:
    """What the agent is told while nobody has answered."""
    return (
        f"A person has to approve this call first: request {waiting.id}, open until "
        f"{clock(waiting.expires)}. Once it is approved, retry the same call with exactly the same "
        "arguments. Other arguments are another request."
    )


def told(waiting: Waiting) -> dict[str, object]:
    """What the client is told of a request, machine-readable. `expires` is as RFC 3339 writes it."""
    moment = datetime.fromtimestamp(waiting.expires / SECOND, UTC)
    return {"id": waiting.id, "expires": moment.isoformat(timespec="seconds").replace("+00:00", "Z")}


def refusal(answer: Answer) -> Refused:
    """The refusal of a call about which nobody need be asked (again)."""
    if isinstance(answer, Crowded):
        text = f"{MAX_PENDING} calls of this grant wait for approval already. Wait until some are answered."
        return Refused("denied", text, (CROWDED,))
    if isinstance(answer, Turned):
        return _turned(answer)
    return Refused("store", "the gateway could not ask for approval, so the call was not forwarded")


def _turned(answer: Turned) -> Refused:
    said = f": {answer.note}" if answer.note else ""
    if answer.state == "denied":
        text = f"A person denied this call{said}. It may be asked for again after {clock(answer.expires)}."
        return Refused("denied", text, (DENIED,))
    again = "Retry the same call to ask again."
    if answer.state == "expired":
        return Refused("denied", f"Nobody answered request {answer.id} in time. {again}", (EXPIRED,))
    if answer.state == "consumed":
        text = f"The approval {answer.id} was used by another call with the same arguments. {again}"
        return Refused("denied", text, (USED,))
    return Refused("denied", f"Request {answer.id} does not count any more{said}. {again}", (CANCELLED,))


def clock(microseconds: int) -> str:
    """A time of day in UTC for a sentence."""
    return datetime.fromtimestamp(microseconds / SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _name(call: Call) -> str:
    return cast("str", call.message.params["name"])
