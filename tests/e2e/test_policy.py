"""What official clients get from a gate that denies by default."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import world
from tests.e2e.driver import (
    KINDS,
    PYTHON_1,
    PYTHON_2,
    TYPESCRIPT_1,
    TYPESCRIPT_2,
    Connection,
    Drivers,
    Http,
    Kind,
    failed,
    text,
)

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

Json = Any
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
DENIED = 4403


@dataclass(frozen=True)
class Case:
    """A server, a policy for it, and calls that show each kind of denial."""

    command: Callable[[], Sequence[str]]
    policy: Mapping[str, Json]
    listed: frozenset[str]
    by_rule: tuple[str, dict[str, Json]]
    unlisted: tuple[str, dict[str, Json]]
    hidden: tuple[str, dict[str, Json]]
    limited: tuple[str, dict[str, Json]]
    allowed: tuple[str, dict[str, Json]]


LIMIT = {"limits": [{"counter": "few", "window": "hour", "max": 3, "scope": "grant"}]}


def deny_if(path: str, op: str, value: Json) -> dict[str, Json]:
    conditions = [{"path": path, "op": op, "value": value}]
    return {"deny_if": [{"conditions": conditions, "on_deny": "that word is forbidden"}]}


EVERYTHING = Case(
    command=world.everything,
    policy={
        "version": "1",
        "default": "deny",
        "hide": ["get-env"],
        "tools": {
            "echo": deny_if("args.message", "contains", "forbidden"),
            "get-sum": LIMIT,
            "get-env": {},
            "trigger-sampling-request": {},
            "trigger-elicitation-request": {},
            "not-offered": {},
        },
    },
    listed=frozenset({"echo", "get-sum", "trigger-sampling-request", "trigger-elicitation-request"}),
    by_rule=("echo", {"message": "a forbidden word"}),
    unlisted=("get-tiny-image", {}),
    hidden=("get-env", {}),
    limited=("get-sum", {"a": 1, "b": 2}),
    allowed=("echo", {"message": "hello"}),
)
MODERN = Case(
    command=lambda: world.MODERN,
    policy={
        "version": "1",
        "default": "deny",
        "hide": ["picture"],
        "tools": {
            "fail": deny_if("args.why", "contains", "forbidden"),
            "add": LIMIT,
            "picture": {},
            "ask": {},
            "count": {},
            "not-offered": {},
        },
    },
    listed=frozenset({"fail", "add", "ask", "count"}),
    by_rule=("fail", {"why": "a forbidden word"}),
    unlisted=("no_such_tool", {}),
    hidden=("picture", {}),
    limited=("add", {"numbers": [1]}),
    allowed=("count", {"to": 1}),
)
CASES = {"everything": EVERYTHING, "modern": MODERN}
cases = pytest.mark.parametrize("name", CASES)


def write(policy: Mapping[str, Json], folder: Path) -> Path:
    path = folder / "policy.json"
    path.write_text(json.dumps(policy))
    return path


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Http]]:
    """One HTTP gate for each case, for tests that count nothing."""
    running: dict[str, world.Gate] = {}

    def of(name: str) -> Http:
        if name not in running:
            folder = tmp_path_factory.mktemp(f"gate-{name}")
            case = CASES[name]
            running[name] = world.Gate(write(case.policy, folder), folder, upstream=case.command())
        return running[name].http

    yield of
    for gate in running.values():
        assert gate.stop() == 0


def names_of(connection: Connection) -> set[str]:
    return {tool["name"] for tool in connection.ask("tools/list")["result"]["tools"]}


@cases
@kinds
def test_listed_tools_are_those_that_policy_names_and_the_server_offers(
    name: str, kind: Kind, gates: Callable[[str], Http], clients: Drivers
) -> None:
    """P2.16: hidden and default-denied tools are absent from `tools/list`."""
    with clients.connect(kind, gates(name), answers=True) as client:
        assert names_of(client) == CASES[name].listed


@pytest.mark.parametrize("kind", [PYTHON_2, TYPESCRIPT_2], ids=lambda kind: kind.name)
def test_filtered_list_is_private_and_soon_stale_on_the_modern_era(
    kind: Kind, gates: Callable[[str], Http], clients: Drivers
) -> None:
    """A list that policy filters for one grant may not be cached for others, nor for long."""
    with clients.connect(kind, gates("modern")) as client:
        result = client.ask("tools/list")["result"]

    assert result["cacheScope"] == "private"
    assert result["ttlMs"] <= 30_000


@cases
@kinds
def test_denied_call_is_a_tool_error_that_says_why(
    name: str, kind: Kind, gates: Callable[[str], Http], clients: Drivers
) -> None:
    """P2.11: a `deny_if` that holds denies, with the reason that the policy gives."""
    case = CASES[name]
    with clients.connect(kind, gates(name)) as client:
        denied = client.call(case.by_rule[0], **case.by_rule[1])
        allowed = client.call(case.allowed[0], **case.allowed[1])

    assert failed(denied), denied
    assert text(denied).startswith("[POLICY DENIED] ")
    assert "that word is forbidden" in text(denied)
    note = denied["result"]["_meta"]["io.ostiary/decision"]
    assert note["decision"] == "deny"
    assert note["evaluation_id"].startswith("ev_")
    assert "rules" not in note
    assert not failed(allowed), allowed


@cases
@kinds
def test_hidden_unlisted_and_unknown_tools_are_told_apart_by_nobody(
    name: str, kind: Kind, gates: Callable[[str], Http], clients: Drivers
) -> None:
    """P2.16: one identical message for hidden, default-denied and unknown tools."""
    case = CASES[name]
    calls = [case.hidden, case.unlisted, ("not-offered", {}), ("never-heard-of", {})]
    with clients.connect(kind, gates(name)) as client:
        client.ask("tools/list")
        answers = [client.call(tool, **arguments) for tool, arguments in calls]

    for (tool, _), answer in zip(calls, answers, strict=True):
        assert failed(answer), answer
        assert text(answer) == f'[POLICY DENIED] Tool "{tool}" is not available'


@cases
@kinds
def test_call_after_the_last_allowed_one_is_limited(
    name: str, kind: Kind, clients: Drivers, tmp_path: Path
) -> None:
    """P4.1: never more than `max` calls in any window of that length."""
    case = CASES[name]
    target = world.gated(write(case.policy, tmp_path), tmp_path, upstream=case.command())
    with clients.connect(kind, target) as client:
        answers = [client.call(case.limited[0], **case.limited[1]) for _ in range(4)]

    assert [failed(answer) for answer in answers] == [False, False, False, True]
    assert "[POLICY DENIED]" in text(answers[3])
    retry = answers[3]["result"]["_meta"]["io.ostiary/decision"]["retry_after_ms"]
    assert 3_500_000 < retry <= 3_600_000


@pytest.mark.parametrize("kind", [PYTHON_2, TYPESCRIPT_1], ids=lambda kind: kind.name)
def test_limit_is_shared_by_all_connections_of_a_grant_and_outlives_the_gate(
    kind: Kind, clients: Drivers, tmp_path: Path
) -> None:
    """P4.1: scope `grant`; reconnecting resets nothing."""
    policy = write(EVERYTHING.policy, tmp_path)
    over = []
    for _ in range(2):
        target = world.gated(policy, tmp_path, upstream=world.everything())
        with clients.connect(kind, target) as client:
            over += [failed(client.call("get-sum", a=1, b=1)) for _ in range(2)]

    assert over == [False, False, False, True]


@kinds
def test_resources_and_prompts_are_empty_and_reading_them_is_denied(
    kind: Kind, gates: Callable[[str], Http], clients: Drivers
) -> None:
    """P6: lists answered empty; read, get, subscribe and completion denied."""
    with clients.connect(kind, gates("everything")) as client:
        lists = [
            client.ask("resources/list")["result"]["resources"],
            client.ask("resources/templates/list")["result"]["resourceTemplates"],
            client.ask("prompts/list")["result"]["prompts"],
        ]
        denied = [
            client.ask("resources/read", {"uri": "demo://resource/static/document/features.md"}),
            client.ask("resources/subscribe", {"uri": "demo://resource/dynamic/text/1"}),
            client.ask("prompts/get", {"name": "simple-prompt"}),
            client.ask(
                "completion/complete",
                {
                    "ref": {"type": "ref/prompt", "name": "completable-prompt"},
                    "argument": {"name": "department", "value": "E"},
                },
            ),
        ]
        ping = client.ask("ping")

    assert lists == [[], [], []]
    assert [answer["error"]["code"] for answer in denied] == [DENIED] * 4
    assert "result" in ping


@kinds
def test_modern_server_has_its_resources_and_prompts_denied_too(
    kind: Kind, gates: Callable[[str], Http], clients: Drivers
) -> None:
    """P6: the same on the modern era."""
    with clients.connect(kind, gates("modern")) as client:
        assert client.ask("resources/list")["result"]["resources"] == []
        assert client.ask("prompts/list")["result"]["prompts"] == []
        read = client.ask("resources/read", {"uri": "demo://one"})
        got = client.ask("prompts/get", {"name": "greet", "arguments": {"name": "x"}})

    assert read["error"]["code"] == DENIED
    assert got["error"]["code"] == DENIED


@pytest.mark.parametrize("tool", ["trigger-sampling-request", "trigger-elicitation-request"])
@kinds
def test_question_of_the_server_is_denied_to_the_server_and_its_tool_ends(
    kind: Kind, tool: str, gates: Callable[[str], Http], clients: Drivers
) -> None:
    """P6: sampling, elicitation and roots are denied; the gate answers, so that no tool hangs."""
    with clients.connect(kind, gates("everything"), answers=True) as client:
        answer = client.call(tool, prompt="x") if "sampling" in tool else client.call(tool)
        asked = client.heard()["asked"]

    assert failed(answer), answer
    assert "not available" in text(answer)
    assert asked == []


@kinds
def test_question_inside_a_result_is_denied_as_well(
    kind: Kind, gates: Callable[[str], Http], clients: Drivers
) -> None:
    """P6: inside `inputRequests` too, on the modern era; on the legacy one the tool gets the denial."""
    with clients.connect(kind, gates("modern"), answers=True) as client:
        answer = client.call("ask")
        asked = client.heard()["asked"]

    assert failed(answer) or answer["error"]["code"] == DENIED, answer
    assert asked == []


@kinds
def test_question_that_policy_allows_reaches_the_client(kind: Kind, clients: Drivers, tmp_path: Path) -> None:
    """P6: `methods.allow` lets single questions through."""
    policy = {**MODERN.policy, "methods": {"allow": ["elicitation/create"]}}
    target = world.gated(write(policy, tmp_path), tmp_path, upstream=world.MODERN)
    with clients.connect(kind, target, answers=True) as client:
        answer = client.call("ask")
        asked = client.heard()["asked"]

    assert text(answer) == "the colour is Ada"
    assert asked == ["elicitation/create"]


@pytest.mark.parametrize("kind", [PYTHON_2, TYPESCRIPT_2], ids=lambda kind: kind.name)
def test_http_server_gets_the_denial_of_its_question_from_a_stdio_gate(
    kind: Kind, clients: Drivers, tmp_path: Path
) -> None:
    """P6: the gate answers the server in the session that asked."""
    server = world.everything_over_http(tmp_path / "server.log")
    try:
        target = world.gated(write(EVERYTHING.policy, tmp_path), tmp_path, upstream=server.url)
        with clients.connect(kind, target, answers=True) as client:
            listed = names_of(client)
            answer = client.call("trigger-sampling-request", prompt="x")
            asked = client.heard()["asked"]
    finally:
        server.stop()

    assert listed == EVERYTHING.listed
    assert failed(answer), answer
    assert asked == []


def test_without_a_policy_nothing_is_allowed(clients: Drivers, tmp_path: Path) -> None:
    """P2.4: a grant without a policy is denied everything."""
    target = world.gated(None, tmp_path, upstream=world.everything())
    with clients.connect(PYTHON_1, target) as client:
        listed = names_of(client)
        answer = client.call("echo", message="hello")

    assert listed == set()
    assert failed(answer)


# --- a policy that changes while the gate runs -----------------------------------------------------


def atomic_rename(policy: Path, content: str) -> None:
    fresh = policy.with_suffix(".new")
    fresh.write_text(content)
    fresh.replace(policy)


def write_in_place(policy: Path, content: str) -> None:
    with policy.open("r+") as file:
        file.write(content)
        file.truncate()


def swap_symlink(policy: Path, content: str) -> None:
    """As Kubernetes does with a mounted ConfigMap."""
    target = policy.with_name("elsewhere.json")
    target.write_text(content)
    link = policy.with_name("link")
    link.symlink_to(target)
    link.replace(policy)


NARROW = json.dumps({"version": "1", "default": "deny", "tools": {"convert_time": {}}})
WIDE = json.dumps({"version": "1", "default": "deny", "tools": {"get_current_time": {}}})


@pytest.fixture
def time_gate(tmp_path: Path) -> Iterator[tuple[world.Gate, Path]]:
    policy = tmp_path / "policy.json"
    policy.write_text(NARROW)
    gate = world.Gate(policy, tmp_path, upstream=world.published("time"))
    yield gate, policy
    assert gate.stop() == 0


@pytest.mark.parametrize("change", [atomic_rename, write_in_place, swap_symlink])
def test_changed_policy_is_in_force_for_the_next_call_of_an_open_session(
    change: Callable[[Path, str], None], time_gate: tuple[world.Gate, Path], clients: Drivers
) -> None:
    """P8.2: by content, however the file was replaced."""
    gate, policy = time_gate
    with clients.connect(TYPESCRIPT_2, gate.http) as client:
        before = (names_of(client), failed(client.call("get_current_time", timezone="UTC")))
        change(policy, WIDE)
        world.wait_for("the new policy", lambda: "is in force" in gate.told())
        after = (names_of(client), failed(client.call("get_current_time", timezone="UTC")))

    assert before == ({"convert_time"}, True)
    assert after == ({"get_current_time"}, False)


def test_invalid_change_keeps_the_old_policy_and_says_why(
    time_gate: tuple[world.Gate, Path], clients: Drivers
) -> None:
    """P8.2: invalid content keeps the old one and says why."""
    gate, policy = time_gate
    with clients.connect(PYTHON_2, gate.http) as client:
        atomic_rename(policy, WIDE.replace("default", "defualt"))
        world.wait_for("the refusal", lambda: "stays" in gate.told())
        after = (names_of(client), failed(client.call("get_current_time", timezone="UTC")))

    assert after == ({"convert_time"}, True)
    assert "`defualt`" in gate.told()
    assert "`default`" in gate.told()
    assert "Traceback" not in gate.told()


# --- what is on record ----------------------------------------------------------------------------

MARKER = "hunter2-marker-of-the-test"


def test_records_are_complete_in_order_verifiable_and_hold_no_argument(
    clients: Drivers, tmp_path: Path
) -> None:
    """An intent stands before each outcome; argument values stand nowhere, not even in logs.

    The address of a resource is its name and so on record, without credentials and query.
    """
    policy = {
        **EVERYTHING.policy,
        "tools": {
            **EVERYTHING.policy["tools"],
            "echo": {
                "deny_if": [
                    {"conditions": [{"path": "args.message", "op": "contains", "value": "forbidden"}]}
                ],
                "limits": [{"counter": "texts", "window": "hour", "max": 2, "scope": ["args.message"]}],
            },
        },
    }
    gate = world.Gate(write(policy, tmp_path), tmp_path, "--log-level", "debug", upstream=world.everything())
    with clients.connect(PYTHON_2, gate.http) as client:
        sent = [client.call("echo", message=MARKER) for _ in range(3)]
        sent.append(client.call("echo", message=f"forbidden {MARKER}"))
        sent.append(client.call("get-sum", a=MARKER, b=1))
        sent.append(client.call("never-heard-of", anything=MARKER))
        sent.append(client.ask("prompts/get", {"name": "args-prompt", "arguments": {"city": MARKER}}))
        sent.append(client.ask("resources/read", {"uri": f"demo://ada@home:{MARKER}@host/a?key={MARKER}"}))
    while_running = world.ostiary("audit", "verify", state=gate.state)
    assert gate.stop() == 0
    verified = world.ostiary("audit", "verify", "--format", "json", state=gate.state)
    tail = world.ostiary("audit", "tail", "-n", "1000", "--format", "json", state=gate.state)

    assert [failed(answer) for answer in sent[:6]] == [False, False, True, True, True, True]
    assert while_running.returncode == 0, while_running.stdout
    assert verified.returncode == 0, verified.stdout
    rows = [json.loads(line) for line in tail.stdout.splitlines()]
    assert_intents_come_first([row.get("record", row) for row in rows])
    assert marked(tmp_path) == []
    assert MARKER not in tail.stdout


def assert_intents_come_first(rows: Sequence[Json]) -> None:
    calls = [row for row in rows if row.get("method") == "tools/call"]
    intents = [row["id"] for row in calls if row["kind"] == "intent"]
    outcomes = [row["id"] for row in calls if row["kind"] == "outcome"]
    denials = [row["id"] for row in calls if row["kind"] == "denial"]
    assert len(intents) == len(set(intents)) == 3  # two echoes, and a sum that the server refuses
    assert sorted(outcomes) == sorted(intents)
    assert len(denials) == 3
    kinds_by_id: dict[str, list[str]] = {}
    for row in calls:
        kinds_by_id.setdefault(row["id"], []).append(row["kind"])
    assert all(kinds_by_id[call] == ["intent", "outcome"] for call in intents)


def marked(folder: Path) -> list[str]:
    """Files that hold the marker, other than the policy."""
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and MARKER.encode() in path.read_bytes()
    ]
