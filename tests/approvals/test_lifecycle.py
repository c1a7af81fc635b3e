"""What may become of a request, and whose word counts (P5.1, P5.3)."""

from __future__ import annotations

from typing import get_args

import pytest

from ostiary.approvals import lifecycle
from ostiary.approvals.request import FORM, Resolution, Standing, State, Verdict
from tests.approvals.making import ANA, BEN, CAT, NOW, SECOND, Person, request

STATES: tuple[State, ...] = get_args(State)
SAID: dict[State, str] = {
    "approved": "already approved",
    "denied": "already denied",
    "expired": "expired",
    "cancelled": "cancelled",
    "consumed": "already used",
}
BOTH = request(approvers=((ANA.name,), (BEN.name, CAT.name)))


def answer(who: str, verdict: Verdict, note: str = "") -> Resolution:
    return Resolution(approver=who, verdict=verdict, note=note, at=NOW)


def after(standing: Standing, *answers: tuple[Person, Verdict]) -> Standing:
    for person, verdict in answers:
        found = lifecycle.resolved(standing, answer(person.name, verdict), NOW)
        assert isinstance(found, Standing), found
        standing = found
    return standing


@pytest.mark.parametrize("verdict", ["approve", "deny"])
@pytest.mark.parametrize("state", [state for state in STATES if state != "pending"])
def test_what_is_not_pending_is_not_answered(state: State, verdict: Verdict) -> None:
    """A bug found in review of another gateway: used and expired approvals were approved again there."""
    standing = Standing(request=request(), state=state)

    assert lifecycle.resolved(standing, answer(ANA.name, verdict), NOW) == f"this request is {SAID[state]}"


@pytest.mark.parametrize(("verdict", "state"), [("approve", "approved"), ("deny", "denied")])
def test_a_pending_request_is_answered_by_one_approver(verdict: Verdict, state: State) -> None:
    found = lifecycle.resolved(Standing(request=request()), answer(ANA.name, verdict, "seen"), NOW + 5)

    assert isinstance(found, Standing)
    assert (found.state, found.note) == (state, "seen")
    assert found.ended == (NOW + 5 if state == "denied" else 0)


@pytest.mark.parametrize("state", ["pending", "approved"])
def test_what_is_past_its_time_has_expired_and_is_not_answered(state: State) -> None:
    """A bug found in review of another gateway: what had expired already could be approved there."""
    standing = Standing(request=request(), state=state)
    end = standing.request.expires

    assert lifecycle.at(standing, end - 1).state == state
    assert lifecycle.at(standing, end).state == "expired"
    assert lifecycle.resolved(standing, answer(ANA.name, "approve"), end) == "this request is expired"


@pytest.mark.parametrize("state", ["denied", "cancelled", "consumed", "expired"])
def test_what_is_over_stays_what_it_is(state: State) -> None:
    standing = Standing(request=request(), state=state)

    assert lifecycle.at(standing, NOW + 10**9 * SECOND) == standing


def test_one_of_every_set_has_to_agree() -> None:
    first = after(Standing(request=BOTH), (ANA, "approve"))

    assert first.state == "pending"
    assert lifecycle.missing(BOTH, lifecycle.approving(first.resolutions)) == ((BEN.name, CAT.name),)
    assert after(first, (CAT, "approve")).state == "approved"


def test_one_approver_in_every_set_is_enough() -> None:
    """Sets are about who may agree; that two people look has to be said with names that differ."""
    both = request(approvers=((ANA.name,), (ANA.name, BEN.name)))

    assert after(Standing(request=both), (ANA, "approve")).state == "approved"
    assert after(Standing(request=both), (BEN, "approve")).state == "pending"


def test_anybody_who_is_asked_can_deny_alone() -> None:
    denied = after(Standing(request=BOTH), (ANA, "approve"), (BEN, "deny"))

    assert denied.state == "denied"
    assert lifecycle.resolved(denied, answer(CAT.name, "approve"), NOW) == "this request is already denied"


def test_an_approver_who_answers_again_replaces_the_former_answer() -> None:
    twice = after(Standing(request=BOTH), (ANA, "approve"), (ANA, "approve"))

    assert len(twice.resolutions) == 1
    assert twice.state == "pending"
    assert after(twice, (ANA, "deny")).state == "denied"


def test_nobody_approves_their_own_call() -> None:
    own = request(principal=ANA.name, approvers=((ANA.name,),))
    found = lifecycle.resolved(Standing(request=own), answer(ANA.name, "approve"), NOW)

    assert found == "`user:ana` asked for this, and nobody approves their own call"


@pytest.mark.parametrize("name", ["user:eve", "user:an", "user:Ana", "user:ana ", FORM, ""])
def test_only_who_is_named_may_answer(name: str) -> None:
    named = request(approvers=((ANA.name, BEN.name),))
    found = lifecycle.resolved(Standing(request=named), answer(name, "approve"), NOW)

    assert found == f"`{name}` is not among those who may answer this: user:ana, user:ben"


def test_the_answer_of_the_clients_own_user_is_no_approver_s() -> None:
    assert lifecycle.approving((answer(FORM, "approve"),)) == frozenset()
    assert not lifecycle.agreed(request(), frozenset())
