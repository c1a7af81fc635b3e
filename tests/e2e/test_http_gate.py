"""`ostiary proxy --listen` spoken to byte by byte, and by official clients side by side."""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e import world
from tests.e2e.driver import KINDS, PYTHON_1, PYTHON_2, TYPESCRIPT_1, Drivers, Http, Kind, text

pytestmark = [pytest.mark.service, pytest.mark.timeout(60)]

Json = Any
TYPES = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "e2e", "version": "1"},
    },
}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Gate]:
    """An allow-all gate in front of server-everything on stdio."""
    made = world.Gate(world.ALLOW_ALL, tmp_path_factory.mktemp("gate"), upstream=world.everything())
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.told()


class Reply:
    def __init__(self, response: http.client.HTTPResponse, *, whole: bool = True) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read() if whole else b""

    def messages(self) -> list[Json]:
        """The JSON-RPC messages of a JSON body or an event stream."""
        if self.headers.get_content_type() != "text/event-stream":
            return [json.loads(self.body)]
        lines = self.body.decode().splitlines()
        return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]

    def answer(self) -> Json:
        return self.messages()[-1]


class Line:
    """One HTTP connection to a gate."""

    def __init__(self, gate: world.Gate) -> None:
        self._gate = gate
        self._connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)

    def send(
        self,
        method: str = "POST",
        body: Json = None,
        *,
        path: str = "/mcp",
        token: str | None = None,
        **headers: str,
    ) -> Reply:
        """One request; header names are given with `_` for `-`. `token` "" sends none."""
        return Reply(self._start(method, body, path, token, headers))

    def begin(self, body: Json, **headers: str) -> http.client.HTTPResponse:
        """POST, and read no more than the head of the answer."""
        return self._start("POST", body, "/mcp", None, headers)

    def _start(
        self, method: str, body: Json, path: str, token: str | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        token = self._gate.http.token if token is None else token
        sent = dict(TYPES) if method == "POST" else {"Accept": "text/event-stream"}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, sent)
        return self._connection.getresponse()

    def initialize(self) -> str:
        """Begin a session; its id."""
        reply = self.send(body=HELLO)
        assert reply.status == 200, reply.body
        session = reply.headers["Mcp-Session-Id"]
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert self.send(body=done, Mcp_Session_Id=session).status == 202
        return session

    def stream(self, session: str) -> http.client.HTTPResponse:
        """Open the stream from the server."""
        return self._start("GET", None, "/mcp", None, {"Mcp-Session-Id": session})

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.mark.parametrize("token", ["", "ost_" + "A" * 43, "Ω".encode().decode("latin-1")])
def test_request_without_the_token_is_answered_401(token: str, gate: world.Gate) -> None:
    with Line(gate) as line:
        reply = line.send(body=PING, token=token)

    assert reply.status == 401
    assert "WWW-Authenticate" not in reply.headers or "resource_metadata" not in str(reply.headers)


@pytest.mark.parametrize(
    ("status", "method", "changes"),
    [
        (403, "POST", {"Origin": "https://evil.example"}),
        (403, "POST", {"Origin": "null"}),
        (403, "GET", {"Origin": "http://127.0.0.1.evil.example"}),
        (421, "POST", {"Host": "evil.example"}),
        (421, "POST", {"Host": "127.0.0.1.evil.example:80"}),
        (404, "POST", {"path": "/other"}),
        (404, "POST", {"path": "/mcp/"}),
        (404, "GET", {"path": "/.well-known/oauth-protected-resource"}),
        (405, "PUT", {}),
        (405, "PATCH", {}),
        (415, "POST", {"Content_Type": "text/plain"}),
        (415, "POST", {"Content_Type": "application/x-www-form-urlencoded"}),
    ],
)
def test_request_of_the_wrong_kind_is_turned_away(
    status: int, method: str, changes: dict[str, str], gate: world.Gate
) -> None:
    with Line(gate) as line:
        reply = line.send(method, PING if method in ("POST", "PUT", "PATCH") else None, **changes)

    assert reply.status == status, reply.body
    if status == 405:
        assert set(reply.headers["Allow"].split(", ")) == {"POST", "GET", "DELETE"}


def test_origin_of_this_machine_is_taken(gate: world.Gate) -> None:
    with Line(gate) as line:
        reply = line.send(body=HELLO, Origin="http://localhost:5173")
        line.send("DELETE", Mcp_Session_Id=reply.headers["Mcp-Session-Id"])

    assert reply.status == 200


def test_body_over_four_mebibytes_is_answered_413(gate: world.Gate) -> None:
    big = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"a" * 4_194_304 + b'"}}'
    with Line(gate) as line:
        reply = line.send(body=big)

    assert reply.status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","NAME":"x"}}',
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"} {"jsonrpc":"2.0","id":2,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
    ],
)
def test_body_that_two_parsers_could_read_differently_is_answered_400(body: bytes, gate: world.Gate) -> None:
    with Line(gate) as line:
        session = line.initialize()
        reply = line.send(body=body, Mcp_Session_Id=session)
        alive = line.send(body=PING, Mcp_Session_Id=session)
        line.send("DELETE", Mcp_Session_Id=session)

    assert reply.status == 400
    assert "error" in reply.answer()
    assert alive.answer()["result"] == {}


def test_session_id_is_of_no_use_when_a_character_of_it_changes(gate: world.Gate) -> None:
    with Line(gate) as line:
        session = line.initialize()
        upstream_part, _, mac = session.rpartition(".")
        forged = [upstream_part, f"{upstream_part}.", f"{upstream_part}.{'A' * len(mac)}", f"x{session}"]
        replies = [line.send(body=PING, Mcp_Session_Id=one) for one in forged]
        deleted = [line.send("DELETE", Mcp_Session_Id=one) for one in forged]
        opened = [line.send("GET", Mcp_Session_Id=one) for one in forged]
        alive = line.send(body=PING, Mcp_Session_Id=session)
        line.send("DELETE", Mcp_Session_Id=session)

    assert [reply.status for reply in replies + deleted + opened] == [404] * 12
    assert replies[0].answer()["id"] == 2
    assert alive.status == 200


def test_session_of_one_grant_is_unknown_to_another(gate: world.Gate, tmp_path: Path) -> None:
    """Two gates on one state directory share the key of session ids; the grant is part of it."""
    token = gate.state / "token"
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    (other_folder / "state").symlink_to(gate.state)
    with Line(gate) as line:
        session = line.initialize()
        command = ["--grant", "other", "--token-file", str(token)]
        other = world.Gate(world.ALLOW_ALL, other_folder, *command, upstream=world.everything())
        try:
            with Line(other) as there:
                stranger = there.send(body=PING, Mcp_Session_Id=session)
        finally:
            assert other.stop() == 0
        owner = line.send(body=PING, Mcp_Session_Id=session)
        line.send("DELETE", Mcp_Session_Id=session)

    assert stranger.status == 404
    assert owner.status == 200


def test_clients_with_equal_ids_get_their_own_answers(gate: world.Gate) -> None:
    lines = [Line(gate) for _ in range(8)]
    sessions = [line.initialize() for line in lines]

    def call(number: int) -> Json:
        arguments = {"message": f"of client {number}"}
        params = {"name": "echo", "arguments": arguments, "_meta": {"progressToken": 1}}
        return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}

    for number, (line, session) in enumerate(zip(lines, sessions, strict=True)):
        headers = {**TYPES, "Authorization": f"Bearer {gate.http.token}", "Mcp-Session-Id": session}
        line._connection.request("POST", "/mcp", json.dumps(call(number)), headers)
    replies = [Reply(line._connection.getresponse()) for line in reversed(lines)]
    texts = [reply.answer()["result"]["content"][0]["text"] for reply in reversed(replies)]
    for line, session in zip(lines, sessions, strict=True):
        line.send("DELETE", Mcp_Session_Id=session)
        line.close()

    assert texts == [f"Echo: of client {number}" for number in range(8)]
    assert len(set(sessions)) == 8


def test_id_still_in_flight_in_a_session_is_refused(gate: world.Gate) -> None:
    arguments = {"duration": 1, "steps": 1}
    params = {"name": "trigger-long-running-operation", "arguments": arguments}
    slow = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}
    with Line(gate) as line, Line(gate) as beside:
        session = line.initialize()
        headers = {**TYPES, "Authorization": f"Bearer {gate.http.token}", "Mcp-Session-Id": session}
        line._connection.request("POST", "/mcp", json.dumps(slow), headers)
        world.wait_for(
            "the refusal",
            lambda: beside.send(body={**PING, "id": 5}, Mcp_Session_Id=session).status == 400,
        )
        answer = Reply(line._connection.getresponse()).answer()
        after = beside.send(body={**PING, "id": 5}, Mcp_Session_Id=session)
        beside.send("DELETE", Mcp_Session_Id=session)

    assert "completed" in answer["result"]["content"][0]["text"]
    assert after.answer() == {"jsonrpc": "2.0", "id": 5, "result": {}}


def test_stream_from_the_server_brings_its_notifications_and_ends_with_the_session(
    gate: world.Gate,
) -> None:
    with Line(gate) as line, Line(gate) as beside:
        session = line.initialize()
        stream = line.stream(session)
        assert stream.status == 200
        assert stream.headers.get_content_type() == "text/event-stream"
        subscribe = {"uri": "demo://resource/dynamic/text/1"}
        beside.send(
            body={"jsonrpc": "2.0", "id": 3, "method": "resources/subscribe", "params": subscribe},
            Mcp_Session_Id=session,
        )
        wanted = b"Received Subscribe Resource request"
        heard = b""
        while wanted not in heard:
            line_read = stream.readline()
            assert line_read, heard
            heard += line_read
        deleted = beside.send("DELETE", Mcp_Session_Id=session)
        rest = stream.read()
        after = beside.send(body=PING, Mcp_Session_Id=session)

    assert deleted.status in (200, 202, 204)
    assert wanted not in rest
    assert after.status == 404
    assert after.answer()["id"] == PING["id"]


def test_health_needs_no_token_and_tells_nothing(gate: world.Gate) -> None:
    with Line(gate) as line:
        reply = line.send("GET", path="/healthz", token="")

    assert reply.status == 200
    assert b"everything" not in reply.body


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_clients_side_by_side_do_not_mix(kind: Kind, gate: world.Gate, clients: Drivers) -> None:
    """Official clients number their requests alike, and every one begins with the same ids."""
    connections = [clients.connect(kind, gate.http) for _ in range(3)]
    begun = [
        [
            one.begin("tools/call", {"name": "echo", "arguments": {"message": f"{number}-{turn}"}})
            for turn in range(5)
        ]
        for number, one in enumerate(connections)
    ]
    texts = [
        [text(one.driver.reply(asked)) for asked in many]
        for one, many in zip(connections, begun, strict=True)
    ]
    for one in connections:
        one.close()

    assert texts == [[f"Echo: {number}-{turn}" for turn in range(5)] for number in range(3)]


def test_client_without_the_token_cannot_connect(gate: world.Gate, clients: Drivers) -> None:
    reply = clients.of(PYTHON_1)
    number = reply.begin("connect", "stranger", **Http(gate.http.url).spec())

    assert "result" not in reply.reply(number)


@pytest.mark.parametrize("kind", [PYTHON_2, TYPESCRIPT_1], ids=lambda kind: kind.name)
def test_call_under_way_is_answered_while_the_gate_drains(
    kind: Kind, clients: Drivers, tmp_path: Path
) -> None:
    gate = world.Gate(world.ALLOW_ALL, tmp_path, upstream=world.everything())
    client = clients.connect(kind, gate.http)
    arguments = {"duration": 1, "steps": 1}
    client.ask("tools/list")  # or the Python client asks for it after the call, of a closed port
    asked = client.begin("tools/call", {"name": "trigger-long-running-operation", "arguments": arguments})
    world.wait_for("the intent", lambda: "trigger-long" in tail_of(gate))
    gate.process.send_signal(signal.SIGTERM)
    answer = client.driver.reply(asked)
    status = gate.process.wait(timeout=9)  # of ten; the client's stream from the server is still open
    client.driver.reply(client.driver.begin("close", client.name))

    assert "completed" in text(answer)
    assert status == 0
    assert "draining" in gate.told()
    assert world.ostiary("audit", "verify", state=gate.state).returncode == 0


def tail_of(gate: world.Gate) -> str:
    return world.ostiary("audit", "tail", "--format", "json", state=gate.state).stdout
