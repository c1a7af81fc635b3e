"""Held calls of official clients, answered by a person in another process (P5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.approving import Office, asked_for, policy, until
from tests.e2e.driver import (
    KINDS,
    PYTHON_1,
    PYTHON_2,
    PYTHON_2_LEGACY,
    TYPESCRIPT_1,
    TYPESCRIPT_2,
    Drivers,
    Kind,
    failed,
    text,
)

pytestmark = [pytest.mark.service, pytest.mark.timeout(90)]

Json = Any
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def over_stdio(office: Office, path: Path) -> Any:
    return office.stdio(path)


def over_http(office: Office, path: Path) -> Any:
    return office.gate(path).http


def over_sse(office: Office, path: Path) -> Any:
    return office.gate(path).sse


WAYS = [
    *((kind, way) for kind in KINDS for way in (over_stdio, over_http)),
    *((kind, over_sse) for kind in (PYTHON_2_LEGACY, PYTHON_1, TYPESCRIPT_1)),
]


@pytest.mark.parametrize(
    ("kind", "way"), WAYS, ids=[f"{kind.name}-{way.__name__.removeprefix('over_')}" for kind, way in WAYS]
)
def test_a_held_call_runs_once_when_a_person_approves_it_in_another_process(
    clients: Drivers, office: Office, kind: Kind, way: Callable[[Office, Path], Any]
) -> None:
    with clients.connect(kind, way(office, policy(office.folder))) as client:
        number = client.begin("tools/call", {"name": "run", "arguments": {"what": "now"}})
        request = office.next_request()
        assert office.runs() == []
        office.approve(request, "fine")
        answer = client.driver.reply(number)
        again = client.begin("tools/call", {"name": "run", "arguments": {"what": "now"}})
        other = office.next_request()
        office.deny(other)
        denied = client.driver.reply(again)

    assert text(answer) == "ran now"
    assert office.runs() == ["now"]
    assert [office.state_of(one) for one in (request, other)] == ["consumed", "denied"]
    assert failed(denied)
    assert any(message == f"waiting for approval {request}" for _, _, message in answer["progress"])


@kinds
def test_a_client_that_does_not_wait_comes_back_with_the_same_call(
    clients: Drivers, office: Office, kind: Kind
) -> None:
    with clients.connect(kind, office.stdio(policy(office.folder, hold="0s"))) as client:
        request = asked_for(client.call("run", what={"b": 1, "a": 2}))
        assert asked_for(client.call("run", what={"a": 2, "b": 1})) == request
        office.approve(request)
        answer = client.call("run", what={"a": 2, "b": 1})
        replayed = client.call("run", what={"a": 2, "b": 1})

    assert text(answer).startswith("ran ")
    assert asked_for(replayed) != request
    assert office.runs() == [{"a": 2, "b": 1}]


@kinds
def test_a_denied_call_tells_its_agent_why_and_stays_denied(
    clients: Drivers, office: Office, kind: Kind
) -> None:
    with clients.connect(kind, office.stdio(policy(office.folder))) as client:
        number = client.begin("tools/call", {"name": "run", "arguments": {"what": 1}})
        office.deny(office.next_request(), "not on a Friday")
        answers = [client.driver.reply(number), client.call("run", what=1)]

    for answer in answers:
        assert failed(answer)
        assert "A person denied this call: not on a Friday." in text(answer)
    assert office.runs() == []


def test_a_held_call_whose_request_expires_says_so_and_nothing_runs(clients: Drivers, office: Office) -> None:
    """The shortest time that a policy can give is ten seconds, so this is the one slow test."""
    with clients.connect(PYTHON_2, office.stdio(policy(office.folder, timeout="10s", hold="60s"))) as client:
        number = client.begin("tools/call", {"name": "run", "arguments": {"what": 1}})
        request = office.next_request()
        answer = client.driver.reply(number)
        until("the expiry", lambda: office.state_of(request) == "expired")
        late = office.command("resolve", request, "--approve")

    assert failed(answer)
    assert f"Nobody answered request {request} in time." in text(answer)
    assert (late.returncode, "expired" in late.stderr) == (1, True)
    assert office.requests() == []
    assert office.runs() == []


def test_a_policy_that_changes_cancels_what_waits_and_says_so(clients: Drivers, office: Office) -> None:
    """P5.2: what was asked under other rules is not answered under these."""
    path = policy(office.folder)
    with clients.connect(PYTHON_2, office.gate(path).http) as client:
        number = client.begin("tools/call", {"name": "run", "arguments": {"what": 1}})
        request = office.next_request()
        policy(office.folder, message="read it twice")
        answer = client.driver.reply(number)

    assert failed(answer)
    assert f"Request {request} does not count any more: the policy has changed." in text(answer)
    assert office.state_of(request) == "cancelled"
    assert office.show(request)["note"] == "the policy has changed"
    assert office.requests() == []
    assert office.runs() == []


def test_a_policy_that_no_longer_holds_lets_the_waiting_call_pass(clients: Drivers, office: Office) -> None:
    path = policy(office.folder)
    with clients.connect(PYTHON_2, office.gate(path).http) as client:
        number = client.begin("tools/call", {"name": "run", "arguments": {"what": 1}})
        office.next_request()
        policy(office.folder, more={"tools": {"run": {}}})
        answer = client.driver.reply(number)

    assert text(answer) == "ran 1"


def test_an_approval_outlives_the_gate_that_asked(clients: Drivers, office: Office) -> None:
    path = policy(office.folder, hold="0s")
    with clients.connect(PYTHON_2, office.stdio(path)) as client:
        request = asked_for(client.call("run", what=1))
    office.approve(request)
    with clients.connect(TYPESCRIPT_1, office.stdio(path)) as client:
        answer = client.call("run", what=1)

    assert text(answer) == "ran 1"
    assert office.runs() == [1]


def test_identical_calls_wait_for_one_request_of_which_one_makes_use(
    clients: Drivers, office: Office
) -> None:
    """P5.2. Who comes too late is told that the approval was used, and can ask again."""
    gate = office.gate(policy(office.folder))
    with clients.connect(PYTHON_2, gate.http) as one, clients.connect(TYPESCRIPT_1, gate.http) as two:
        numbers = [each.begin("tools/call", {"name": "run", "arguments": {"what": 1}}) for each in (one, two)]
        request = office.next_request()
        until("both to wait", lambda: office.logged("approval", "hold") == 2)
        assert office.requests() == [request]
        office.approve(request)
        answers = [each.driver.reply(number) for each, number in zip((one, two), numbers, strict=True)]

    assert sorted(failed(answer) for answer in answers) == [False, True]
    assert any(f"The approval {request} was used by another call" in text(answer) for answer in answers)
    assert office.runs() == [1]


# The client's own user.

FORMS = {
    "accept-true": {"action": "accept", "content": {"approve": True}},
    "accept-false": {"action": "accept", "content": {"approve": False}},
    "decline": {"action": "decline"},
    "no callback": None,
}


@pytest.mark.parametrize("form", FORMS)
@kinds
def test_a_form_approves_where_the_policy_calls_itself_a_convenience(
    clients: Drivers, office: Office, kind: Kind, form: str
) -> None:
    """Only an accepted form with a plain true does. Whoever cannot be asked waits for an approver."""
    path = policy(office.folder, convenience=True, hold="20s" if FORMS[form] else "0s")
    with clients.connect(kind, office.stdio(path), elicits=FORMS[form]) as client:
        answer = client.call("run", what=1)
        asked = client.heard()["asked"]

    assert asked == (["elicitation/create"] if FORMS[form] else [])
    assert failed(answer) == (form != "accept-true")
    assert office.runs() == ([1] if form == "accept-true" else [])
    if form == "accept-false":
        assert "A person denied this call" in text(answer)
    elif form != "accept-true":
        assert office.requests() == [asked_for(answer)]


@pytest.mark.parametrize("kind", [PYTHON_2, PYTHON_2_LEGACY, TYPESCRIPT_2], ids=lambda kind: kind.name)
def test_a_form_works_over_http(clients: Drivers, office: Office, kind: Kind) -> None:
    gate = office.gate(policy(office.folder, convenience=True))
    with clients.connect(kind, gate.http, elicits=FORMS["accept-true"]) as client:
        answer = client.call("run", what=1)

    assert text(answer) == "ran 1"
    assert office.runs() == [1]


@kinds
def test_no_client_is_asked_in_a_form_by_a_policy_that_wants_an_approver(
    clients: Drivers, office: Office, kind: Kind
) -> None:
    with clients.connect(
        kind, office.stdio(policy(office.folder, hold="0s")), elicits=FORMS["accept-true"]
    ) as client:
        request = asked_for(client.call("run", what=1))
        asked = client.heard()["asked"]

    assert asked == []
    assert office.requests() == [request]
    assert office.runs() == []


# A server that asks back.


def test_each_round_of_a_call_on_the_modern_era_needs_an_approval_of_its_own(
    clients: Drivers, office: Office
) -> None:
    """What the client answered to the server is shown to the approver, and bound."""
    colour = {"action": "accept", "content": {"name": "blue"}}
    with clients.connect(PYTHON_2, office.gate(policy(office.folder)).http, elicits=colour) as client:
        number = client.begin("tools/call", {"name": "paint", "arguments": {}})
        first = office.next_request()
        office.approve(first)
        second = office.next_request()
        shown = office.show(second)["call"]
        office.approve(second)
        answer = client.driver.reply(number)

    assert "blue" in str(shown["inputResponses"])
    assert text(answer) == "painted blue"
    assert [run for run in office.runs() if run != "asked"] == ["blue"]


def test_a_question_of_the_server_during_a_call_on_the_legacy_era_needs_no_second_approval(
    clients: Drivers, office: Office
) -> None:
    """There it is one call, and the policy on methods decides the question."""
    colour = {"action": "accept", "content": {"name": "blue"}}
    with clients.connect(PYTHON_2_LEGACY, office.gate(policy(office.folder)).http, elicits=colour) as client:
        number = client.begin("tools/call", {"name": "paint", "arguments": {}})
        office.approve(office.next_request())
        answer = client.driver.reply(number)

    assert text(answer) == "painted blue"


@pytest.mark.parametrize("kind", [PYTHON_2, PYTHON_2_LEGACY, TYPESCRIPT_2], ids=lambda kind: kind.name)
def test_a_form_of_the_gate_loses_nothing_of_the_round_in_which_it_is_asked(
    clients: Drivers, office: Office, kind: Kind
) -> None:
    """The client sends what it answered to the server once; the gate's own state brings it back."""
    both = {"action": "accept", "content": {"approve": True, "name": "blue"}}
    gate = office.gate(policy(office.folder, convenience=True))
    with clients.connect(kind, gate.http, elicits=both) as client:
        answer = client.call("paint")

    assert text(answer) == "painted blue"
    assert [run for run in office.runs() if run != "asked"] == ["blue"]
