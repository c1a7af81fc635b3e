"""A server that wants to be run without approval, or to answer for the client's user (P5.1)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.approving import Office, policy
from tests.e2e.test_approvals_hostile_client import YES, Client, next_message, ran

pytestmark = [pytest.mark.service, pytest.mark.timeout(90)]

Json = Any
SERVER = [sys.executable, str(Path(__file__).with_name("hostile_server.py"))]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def calls(office: Office) -> list[Json]:
    """The calls that reached the server."""
    return [one["params"] for one in office.runs() if one.get("method") == "tools/call"]


def events(response: Any) -> list[Json]:
    """What comes on a stream until it ends."""
    lines = response.read().splitlines()
    return [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]


def test_a_held_call_is_unknown_to_the_server_so_it_can_neither_flood_nor_answer(office: Office) -> None:
    """Nothing of the call has reached it. After the approval its reports pass as those of any call."""
    client = Client(office, office.gate(policy(office.folder), upstream=SERVER))
    meta = {"progressToken": "p"}
    flood = client.body("run", '{"do":"flood"}', _meta=meta)
    response = office.keep(client.line.begin(flood, Mcp_Session_Id=client.session))
    waiting = next_message(response)
    request = office.next_request()
    assert calls(office) == []
    assert waiting["params"]["message"] == f"waiting for approval {request}"
    office.approve(request)
    told = events(response)

    assert ran(told[-1])
    assert len(calls(office)) == 1
    steps = [one["params"]["progress"] for one in told if one.get("method") == "notifications/progress"]
    assert steps[-500:] == list(range(1, 501))
    assert all(step < 1 for step in steps[:-500])


def test_a_server_that_answers_twice_is_heard_once(office: Office) -> None:
    client = Client(office, office.gate(policy(office.folder), upstream=SERVER))
    _, response = client.begin('{"do":"twice"}')
    office.approve(office.next_request())
    told = events(response)

    assert [one["result"]["content"][0]["text"] for one in told if "result" in one] == ["first"]
    assert len(calls(office)) == 1


@pytest.mark.parametrize("kept", [True, False], ids=["the id of the gate", "an id alike"])
def test_an_answer_to_a_question_of_the_server_approves_nothing(office: Office, kept: bool) -> None:
    """Even if the server knew the id of the gate's own question, that question is over by then."""
    gate = office.gate(policy(office.folder, convenience=True), upstream=SERVER)
    client, beside = Client(office, gate, forms=True), Client(office, gate, forms=True)
    _, held = client.begin('{"do":"held"}')
    question = next_message(held)
    number = question["id"] if kept else f"{question['id']}x"
    _, other = beside.begin(json.dumps({"do": "imitate", "id": number}))
    asked = next_message(other)
    assert (
        beside.line_beside.send(
            body={"jsonrpc": "2.0", "id": asked["id"], "result": YES}, Mcp_Session_Id=beside.session
        ).status
        == 202
    )
    imitation = next_message(other)
    assert imitation["id"] == number
    assert imitation["params"]["message"] == "Do you like tea?"
    answer = {"jsonrpc": "2.0", "id": number, "result": YES}
    beside.line_beside.send(body=answer, Mcp_Session_Id=beside.session)

    assert [one["arguments"]["do"] for one in calls(office)] == ["imitate"]
    assert office.requests() == [question["id"].split("-")[1]]
