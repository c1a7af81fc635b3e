"""A client that wants more than it was given: never a second run, never another call (P5.1)."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import world
from tests.e2e.approving import Office, asked_for, policy, until
from tests.e2e.test_http_gate import HELLO, Line, Reply

pytestmark = [pytest.mark.service, pytest.mark.timeout(90)]

Json = Any
MODERN = "2026-07-28"
KEY = "io.ostiary/approval"
YES = {"action": "accept", "content": {"approve": True}}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


class Client:
    """A client of either era, written by hand, on one connection."""

    def __init__(
        self, office: Office, gate: world.Gate, *, modern: bool = False, forms: bool = False
    ) -> None:
        self.office, self.line = office, office.keep(Line(gate))
        self.line_beside = office.keep(Line(gate))
        self.modern, self.forms = modern, forms
        self._ids = itertools.count(100)
        self.session = "" if modern else self._initialize()

    def _initialize(self) -> str:
        capabilities = {"elicitation": {}} if self.forms else {}
        hello = {**HELLO, "params": {**HELLO["params"], "capabilities": capabilities}}
        session = self.line.send(body=hello).headers["Mcp-Session-Id"]
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        self.line.send(body=done, Mcp_Session_Id=session)
        return session

    def body(self, tool: str, arguments: str, **params: Json) -> bytes:
        """A call whose arguments are this text."""
        if self.modern:
            capabilities = {"elicitation": {"form": {}}} if self.forms else {}
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientInfo": {"name": "by hand", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": capabilities,
            }
        rest = "".join(f",{json.dumps(key)}:{json.dumps(value)}" for key, value in params.items())
        head = f'{{"jsonrpc":"2.0","id":{next(self._ids)},"method":"tools/call","params":'
        return f'{head}{{"name":{json.dumps(tool)},"arguments":{arguments}{rest}}}}}'.encode()

    def send(self, body: Json, tool: str = "run") -> Reply:
        return self.line.send(body=body, **self._headers(tool))

    def begin(self, arguments: str, tool: str = "run") -> tuple[int, HTTPResponse]:
        """Send a call and read no more than the head of its answer; the call's id, and the rest."""
        body = self.body(tool, arguments)
        return json.loads(body)["id"], self.office.keep(self.line.begin(body, **self._headers(tool)))

    def _headers(self, tool: str) -> dict[str, str]:
        if self.modern:
            return {"Mcp_Protocol_Version": MODERN, "Mcp_Method": "tools/call", "Mcp_Name": tool}
        return {"Mcp_Session_Id": self.session}

    def call(self, arguments: str, tool: str = "run", **params: Json) -> Json:
        return self.send(self.body(tool, arguments, **params), tool).answer()


def ran(answer: Json) -> bool:
    return "result" in answer and not answer["result"].get("isError") and "content" in answer["result"]


APPROVED = '{"what":{"n":1,"s":"\u00e9","list":[1,{"a":1,"b":2}]}}'
EDITS = [
    '{"what":{"n":1.0,"s":"\u00e9","list":[1,{"a":1,"b":2}]}}',
    '{"what":{"n":1e0,"s":"\u00e9","list":[1,{"a":1,"b":2}]}}',
    '{"what":{"n":"1","s":"\u00e9","list":[1,{"a":1,"b":2}]}}',
    '{"what":{"n":true,"s":"\u00e9","list":[1,{"a":1,"b":2}]}}',
    '{"what":{"n":1,"s":"e\u0301","list":[1,{"a":1,"b":2}]}}',
    '{"what":{"n":1,"s":"\u00e9 ","list":[1,{"a":1,"b":2}]}}',
    '{"what":{"n":1,"s":"\u00e9\u200b","list":[1,{"a":1,"b":2}]}}',
    '{"what":{"n":1,"s":"\u00e9","list":[{"a":1,"b":2},1]}}',
    '{"what":{"n":1,"s":"\u00e9","list":[1,{"a":1,"b":3}]}}',
    '{"what":{"n":1,"s":"\u00e9","list":[1,{"a":1,"b":2},null]}}',
    '{"what":{"n":1,"s":"\u00e9","list":[1,{"a":1,"b":2}],"x":null}}',
    '{"what":{"n":1,"s":"\u00e9","list":[1,{"a":1,"b":2}]},"extra":null}',
    '{"what":{"n":1,"s":"\u00e9"}}',
]


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_no_edit_of_an_approved_call_passes_and_the_call_itself_passes_once(
    office: Office, modern: bool
) -> None:
    client = Client(office, office.gate(policy(office.folder, hold="0s")), modern=modern)
    request = asked_for(client.call(APPROVED))
    office.approve(request)

    edited = [asked_for(client.call(edit)) for edit in EDITS]
    assert len({request, *edited}) == len(EDITS)  # `1.0` and `1e0` are one call, and not `1`
    assert office.runs() == []
    respelt = '{ "what" :\n{"list":[1,{"b":2,"a":1}], "s":"\\u00e9", "n":1 }}'
    assert ran(client.call(respelt))
    replays = [asked_for(client.call(APPROVED)) for _ in range(2)]
    assert replays[0] == replays[1] != request
    assert office.runs() == [json.loads(APPROVED)["what"]]


def test_an_approval_is_for_one_tool(office: Office) -> None:
    held = {"action": "require_approval", "approval": {"hold": "0s"}}
    more = {"tools": {"run": held, "other": held}}
    client = Client(office, office.gate(policy(office.folder, more=more)))
    office.approve(asked_for(client.call('{"what":1}')))

    asked_for(client.call('{"what":1}', "other"))
    assert office.runs() == []


def test_of_two_connections_that_race_for_one_approval_one_runs(office: Office) -> None:
    gate = office.gate(policy(office.folder, hold="0s"))
    racers = [Client(office, gate) for _ in range(6)]
    office.approve(asked_for(racers[0].call('{"what":"race"}')))
    together, answers = threading.Barrier(len(racers)), list[Json]()

    def race(client: Client) -> None:
        together.wait(5)
        answers.append(client.call('{"what":"race"}'))

    threads = [threading.Thread(target=race, args=(racer,)) for racer in racers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert [ran(answer) for answer in answers].count(True) == 1
    assert office.runs() == ["race"]


def test_twenty_calls_of_a_grant_wait_and_the_next_is_denied(office: Office) -> None:
    client = Client(office, office.gate(policy(office.folder, hold="0s")))
    waiting = [asked_for(client.call(f'{{"what":{number}}}')) for number in range(20)]
    refused = client.call('{"what":20}')

    assert len(set(waiting)) == 20
    assert refused["result"]["_meta"]["io.ostiary/decision"]["decision"] == "deny"
    assert "20 calls of this grant wait for approval already" in refused["result"]["content"][0]["text"]
    assert asked_for(client.call('{"what":7}')) == waiting[7]
    assert office.runs() == []


# Answers that nobody asked for.


def test_a_client_cannot_answer_what_it_was_not_asked(office: Office) -> None:
    """Where the policy wants an approver there is no question, whatever id the answer has."""
    client = Client(office, office.gate(policy(office.folder, hold="0s")), forms=True)
    request = asked_for(client.call('{"what":1}'))
    evaluation = request.replace("apr_", "ev_")
    for number in (f"ostiary-{request}-{evaluation}", f"ostiary-{request}", request, 1):
        reply = client.send({"jsonrpc": "2.0", "id": number, "result": YES})
        assert reply.status == 400

    assert asked_for(client.call('{"what":1}')) == request
    assert office.runs() == []


@pytest.mark.parametrize("convenience", [False, True])
def test_input_responses_without_a_state_of_ours_answer_nothing(office: Office, convenience: bool) -> None:
    client = Client(
        office,
        office.gate(policy(office.folder, hold="0s", convenience=convenience)),
        modern=True,
        forms=True,
    )
    plain = client.call('{"what":1}', inputResponses={KEY: YES})
    refused = client.call('{"what":1}', inputResponses={KEY: YES}, requestState="of some server")

    assert not ran(plain)
    assert refused["error"]["code"] == -32602
    assert office.runs() == []


def test_a_state_is_for_one_call_of_one_grant_once(office: Office) -> None:
    path = policy(office.folder, hold="0s", convenience=True)
    gate = office.gate(path)
    client = Client(office, gate, modern=True, forms=True)
    asked = client.call('{"what":1}')["result"]
    assert asked["resultType"] == "input_required"
    assert set(asked["inputRequests"]) == {KEY}
    state = asked["requestState"]
    answered: dict[str, Json] = {"inputResponses": {KEY: YES}, "requestState": state}

    # Edited arguments and another tool: asked anew, and not run.
    for arguments, tool in (('{"what":2}', "run"), ('{"what":1.0}', "run"), ("{}", "paint")):
        again = client.call(arguments, tool, **answered)
        assert not ran(again), again
    # A state that was changed, cut or made up.
    last = "A" if state[-1] != "A" else "B"
    for forged in (state[:-1] + last, state[:-4], "ostiary-form:apr_1.x", state + "."):
        refused = client.call('{"what":1}', inputResponses={KEY: YES}, requestState=forged)
        assert refused["error"]["code"] == -32602, forged
    # Another grant, on the same state directory and with the same policy.
    theirs = office.gate_of_another_grant(path)
    refused = Client(office, theirs, modern=True, forms=True).call('{"what":1}', **answered)
    assert refused["error"]["code"] == -32602
    assert office.runs() == []
    # Then the answer itself, twice.
    assert ran(client.call('{"what":1}', **answered))
    assert not ran(client.call('{"what":1}', **answered))
    assert office.runs() == [1]


SAID: list[Json] = [
    {"action": "accept"},
    {"action": "accept", "content": {}},
    {"action": "accept", "content": {"approve": "true"}},
    {"action": "accept", "content": {"approve": 1}},
    {"action": "accept", "content": True},
    {"action": "decline", "content": {"approve": True}},
    {"action": "cancel"},
    True,
    None,
]


def test_only_an_accepted_form_with_a_plain_true_approves(office: Office) -> None:
    client = Client(office, office.gate(policy(office.folder, convenience=True)), modern=True, forms=True)
    for number, said in enumerate(SAID):
        arguments = f'{{"what":{number}}}'
        state = client.call(arguments)["result"]["requestState"]
        assert not ran(client.call(arguments, inputResponses={KEY: said}, requestState=state)), said
    assert office.runs() == []
    state = client.call('{"what":99}')["result"]["requestState"]
    assert ran(client.call('{"what":99}', inputResponses={KEY: YES}, requestState=state))


def test_an_answer_on_the_legacy_era_counts_once(office: Office) -> None:
    gate = office.gate(policy(office.folder, convenience=True))
    client, beside = Client(office, gate, forms=True), office.keep(Line(gate))
    _, response = client.begin('{"what":1}')
    question = next_message(response)
    assert question["method"] == "elicitation/create"
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": YES}

    stranger = Client(office, gate, forms=True)
    assert stranger.send(answer).status == 400
    assert office.runs() == []
    statuses = [beside.send(body=answer, Mcp_Session_Id=client.session).status for _ in range(2)]
    told = next_message(response)

    assert statuses == [202, 400]
    assert ran(told)
    assert office.runs() == [1]


def next_message(response: Any) -> Json:
    """The next event of an open stream."""
    while True:
        line = response.readline()
        assert line, "the stream has ended"
        if line.startswith(b"data:"):
            return json.loads(line[5:])


# Clients that do not stay.


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_a_call_whose_client_has_gone_is_not_sent_and_stays_redeemable(office: Office, modern: bool) -> None:
    """P5.2."""
    gate = office.gate(policy(office.folder))
    client = Client(office, gate, modern=modern)
    _, response = client.begin('{"what":1}')
    request = office.next_request()
    before = sockets(gate)
    response.close()
    client.line.close()
    until("the gate has noticed", lambda: bool(before - sockets(gate)))
    office.approve(request)

    again = Client(office, gate, modern=modern)
    assert ran(again.call('{"what":"mark"}', "other"))
    assert office.runs() == [["other", "mark"]]
    assert office.state_of(request) == "approved"
    assert ran(again.call('{"what":1}'))
    assert office.runs() == [["other", "mark"], 1]
    assert office.state_of(request) == "consumed"


def sockets(gate: world.Gate) -> set[str]:
    """What the gate has open for its clients; files come and go."""
    found: set[str] = set()
    for path in Path(f"/proc/{gate.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(path.readlink()))
    return {one for one in found if one.startswith("socket:")}


def test_a_call_that_is_cancelled_while_it_is_held_ends_there(office: Office) -> None:
    gate = office.gate(policy(office.folder))
    client, beside = Client(office, gate), office.keep(Line(gate))
    number, response = client.begin('{"what":1}')
    request = office.next_request()
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
    assert beside.send(body=cancel, Mcp_Session_Id=client.session).status == 202
    told = next_message(response)
    office.approve(request)

    assert told["error"]["code"] == -32800
    assert ran(Client(office, gate).call('{"what":1}'))
    assert office.runs() == [1]


def test_a_held_member_of_a_batch_is_answered_with_the_rest(office: Office) -> None:
    """Revision 2025-03-26: each member is decided on its own."""
    gate = office.gate(policy(office.folder))
    line = office.keep(Line(gate))
    hello = {**HELLO, "params": {**HELLO["params"], "protocolVersion": "2025-03-26"}}
    session = line.send(body=hello).headers["Mcp-Session-Id"]
    line.send(body={"jsonrpc": "2.0", "method": "notifications/initialized"}, Mcp_Session_Id=session)
    params = {tool: {"name": tool, "arguments": {"what": 1}} for tool in ("run", "other")}
    members = [
        {"jsonrpc": "2.0", "id": tool, "method": "tools/call", "params": params[tool]} for tool in params
    ]
    answers: list[Json] = []
    sending = threading.Thread(
        target=lambda: answers.extend(line.send(body=members, Mcp_Session_Id=session).messages())
    )
    sending.start()
    request = office.next_request()
    until("the other member", lambda: office.runs() == [["other", 1]])
    office.approve(request)
    sending.join(20)

    assert sorted(answer["id"] for answer in answers if "id" in answer) == ["other", "run"]
    assert all(ran(answer) for answer in answers if "id" in answer)
    assert office.runs() == [["other", 1], 1]


def test_a_held_call_without_a_progress_token_is_kept_alive_by_comments(office: Office) -> None:
    client = Client(office, office.gate(policy(office.folder)))
    _, response = client.begin('{"what":1}')
    first = response.readline()
    office.deny(office.next_request())

    assert response.headers.get_content_type() == "text/event-stream"
    assert first.startswith(b":")
    assert next_message(response)["result"]["isError"]


def test_a_client_that_takes_no_event_stream_is_told_to_come_back(office: Office) -> None:
    client = Client(office, office.gate(policy(office.folder)))
    reply = client.line.send(
        body=client.body("run", '{"what":1}'), Mcp_Session_Id=client.session, Accept="application/json"
    )

    assert reply.status in (200, 406)
    assert office.runs() == []
