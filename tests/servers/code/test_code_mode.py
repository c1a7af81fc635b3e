"""Code mode as clients see it: code that calls published servers, each call through a gate of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from ostiary.servers.code.schemas import EXECUTED
from tests.e2e.driver import KINDS, PYTHON_2, Connection, Drivers, Json, Kind, Stdio, failed, text
from tests.e2e.world import commit_all, everything, make_repository, published, state_folder, wait_for
from tests.needs import UNBRAKED
from tests.servers.python.world import OSTIARY, walled

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

POLICY = """\
version: "1"
servers:
  code: {default: allow, tools: {}, resources: {default: allow}}
  Time:
    default: deny
    tools:
      get_current_time: {}
      convert_time:
        limits: [{counter: conversions, window: minute, max: 60}]
"""


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("code")


@pytest.fixture(scope="module")
def repository(folder: Path) -> Path:
    return make_repository(folder)


@pytest.fixture(scope="module")
def code(clients: Drivers, folder: Path, repository: Path) -> Iterator[Connection]:
    with clients.connect(PYTHON_2, over_stdio(folder, POLICY)) as connection:
        yield connection


def over_stdio(folder: Path, policy: str | None) -> Stdio:
    """The server as a client starts it, with three published servers behind it."""
    words = {"Time": published("time"), "Git": published("git"), "Everything": everything()}
    servers = {name: {"command": command[0], "args": command[1:]} for name, command in words.items()}
    file = folder / "servers.json"
    file.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    options = ["--servers", str(file), "--state-dir", str(state_folder(folder)), *UNBRAKED]
    if policy is not None:
        (folder / "policy.yaml").write_text(policy, encoding="utf-8")
        options += ["-p", str(folder / "policy.yaml")]
    return Stdio([*OSTIARY, "run", "code", *options], folder / "log", walled())


def executed(connection: Connection, script: str, **more: Json) -> Json:
    """The data of the answer, which fits its schema whatever it says."""
    answer = connection.call("executeCode", script=script, **more)
    assert "result" in answer, answer
    data = answer["result"]["structuredContent"]
    jsonschema.validate(data, EXECUTED)
    assert json.loads(text(answer)) == data
    assert failed(answer) is not data["success"]
    return data


def rows(folder: Path) -> list[Json]:
    """The rows of calls, as `ostiary audit tail` has them."""
    state = str(folder / "state")
    command = [*OSTIARY, "audit", "tail", "-n", "1000", "--format", "json", "--state-dir", state]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    found = [json.loads(line)["record"] for line in told.stdout.splitlines()]
    return [row for row in found if row.get("method") == "tools/call" and row["kind"] != "outcome"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_official_client_lists_the_tools_and_runs_code(
    clients: Drivers, kind: Kind, tmp_path: Path
) -> None:
    with clients.connect(kind, over_stdio(tmp_path, None)) as connection:
        listed = connection.ask("tools/list", {})["result"]["tools"]
        script = "mcp_Time_get_current_time(timezone='UTC')['timezone']"
        data = executed(connection, script, mcp_server_names=["Time"])
        bad = executed(connection, "print('a')\n1/0")

    assert [tool["name"] for tool in listed][:2] == ["executeCode", "asyncExecuteCode"]
    assert len(json.dumps(listed, separators=(",", ":"))) < 4 * 1_500  # about four characters to a token
    assert (data["result"], data["engine"]) == ("UTC", "monty")
    assert (bad["success"], bad["stdout"], bad["error"]["type"]) == (False, "a\n", "ZeroDivisionError")


def test_json_comes_parsed_text_as_text_and_an_image_as_its_block(code: Connection, repository: Path) -> None:
    script = f"""
now = mcp_Time_get_current_time(timezone="UTC")
log = mcp_Git_git_log(repo_path={str(repository)!r}, max_count=1)
image = mcp_Everything_get_tiny_image()
[now["timezone"], type(log).__name__, [one["type"] if isinstance(one, dict) else "text" for one in image]]
"""

    data = executed(code, script, mcp_server_names=["Time", "Git", "Everything"])

    assert data["error"] is None
    assert data["result"][0] == "UTC"
    assert data["result"][1] == "str"
    assert "image" in data["result"][2]
    assert [one["name"] for one in data["tool_calls"]] == [
        "mcp_Time_get_current_time",
        "mcp_Git_git_log",
        "mcp_Everything_get_tiny_image",
    ]


def test_a_function_that_was_not_asked_for_says_which_entry_is_missing(code: Connection) -> None:
    data = executed(code, "mcp_Git_git_status(repo_path='.')", mcp_server_names=["Time"])

    assert data["error"]["message"].endswith(
        "line 1, column 1: mcp_Git_git_status was not asked for: add `mcp_Git_git_status` to required_tools, "
        "or `Git` to mcp_server_names"
    )
    assert data["tool_calls"] == []


def test_inputs_are_variables_and_outputs_are_read_back(code: Connection) -> None:
    data = executed(
        code,
        "total = sum(rows)\nnote = {'n': len(rows)}",
        input_vars={"rows": [1, 2, 3]},
        output_vars=["total", "note"],
    )

    assert data["outputs"] == {"total": 6, "note": {"n": 3}}


def test_the_fifty_first_call_ends_the_run(code: Connection) -> None:
    script = "n = 0\nwhile True:\n    mcp_Time_get_current_time(timezone='UTC')\n    n = n + 1\n    print(n)"

    data = executed(code, script, required_tools=["mcp_Time_get_current_time"])

    assert data["success"] is False
    assert data["stdout"].split()[-1] == "50"
    assert "50" in data["error"]["message"]


def test_a_tool_that_may_change_things_is_not_there_without_a_rule(
    code: Connection, folder: Path, repository: Path
) -> None:
    script = f"mcp_Git_git_commit(repo_path={str(repository)!r}, message='no')"

    data = executed(code, script, mcp_server_names=["Git"])

    assert "there is no tool mcp_Git_git_commit" in data["error"]["message"]
    assert not [row for row in rows(folder) if row.get("tool") == "git_commit"]


def test_each_inner_call_is_recorded_by_its_own_gate_with_the_call_it_was_made_in(
    clients: Drivers, tmp_path: Path
) -> None:
    with clients.connect(PYTHON_2, over_stdio(tmp_path, POLICY)) as connection:
        script = "for _ in range(2):\n    mcp_Time_convert_time('UTC', '12:00', 'Asia/Tokyo')"
        executed(connection, script, mcp_server_names=["Time"])
        found = rows(tmp_path)

    outer = [row for row in found if row["server"] == "code"]
    inner = [row for row in found if row["server"] == "Time"]
    assert [row["tool"] for row in outer] == ["executeCode"]
    assert [row["tool"] for row in inner] == ["convert_time", "convert_time"]
    assert {row["parent"] for row in inner} == {outer[0]["id"]}
    assert {row["grant"] for row in inner} == {"local"}


def test_a_denied_call_is_an_error_that_code_can_catch_and_a_row(clients: Drivers, tmp_path: Path) -> None:
    policy = POLICY.replace("max: 60", "max: 1")
    script = """
said = []
for _ in range(2):
    try:
        said.append(mcp_Time_convert_time('UTC', '12:00', 'Asia/Tokyo')['time_difference'])
    except Exception as error:
        said.append(str(error))
said
"""
    with clients.connect(PYTHON_2, over_stdio(tmp_path, policy)) as connection:
        data = executed(connection, script, mcp_server_names=["Time"])
        found = rows(tmp_path)

    assert data["success"] is True
    assert data["result"][0] == "+9.0h"
    assert "[POLICY DENIED]" in data["result"][1]
    assert [row["decision"] for row in found if row["server"] == "Time"] == ["allow", "deny"]
    assert [one["ok"] for one in data["tool_calls"]] == [True, False]


def test_runs_at_the_same_time_get_each_their_own_answers(code: Connection) -> None:
    script = "[mcp_Everything_echo(message=str(number)) for _ in range(5)]"

    def asking(number: int) -> Json:
        given = {"script": script, "input_vars": {"number": number}, "mcp_server_names": ["Everything"]}
        return {"name": "executeCode", "arguments": given}

    asked = [code.begin("tools/call", asking(number)) for number in range(4)]

    for number, one in enumerate(asked):
        data = code.driver.reply(one)["result"]["structuredContent"]
        assert (data["error"], data["result"]) == (None, [f"Echo: {number}"] * 5)


def test_ten_megabytes_go_between_three_servers_and_a_line_comes_back(
    code: Connection, repository: Path
) -> None:
    large = repository / "large.txt"
    large.write_text("0123456789abcde\n" * 160_000, encoding="utf-8")
    commit_all(repository, "a large file")
    script = f"""
shown = str(mcp_Git_git_show(repo_path={str(repository)!r}, revision="HEAD"))
when = mcp_Time_get_current_time(timezone="UTC")["timezone"]
sizes = [len(mcp_Everything_echo(message=shown)) for _ in range(3)]
[when, len(shown) > 2_500_000, sizes == [len(shown) + len("Echo: ")] * 3]
"""
    given = {"script": script, "mcp_server_names": ["Everything", "Git", "Time"]}
    number = code.begin("tools/call", {"name": "executeCode", "arguments": given})
    answer = code.driver.reply(number, 90)

    data = answer["result"]["structuredContent"]
    assert data["result"] == ["UTC", True, True], data["error"]
    assert len(text(answer)) < 1_000


def test_a_run_in_the_background_is_asked_after_by_its_id(code: Connection) -> None:
    started = code.call("asyncExecuteCode", script="print('x')\n40 + 2")["result"]["structuredContent"]

    def over() -> bool:
        answer = code.call("checkCodeExecStatus", execution_id=started["execution_id"])
        seen.update(answer["result"]["structuredContent"])
        return seen["status"] not in ("pending", "running")

    seen: dict[str, Json] = {}
    wait_for("its end", over, 20)

    assert (seen["status"], seen["execution"]["result"]) == ("completed", 42)


def test_tools_are_found_by_words_and_described(code: Connection) -> None:
    for server in ("Time", "Git", "Everything"):  # a search does not wait until they are up
        code.call("getToolDetails", name=f"mcp_{server}_nothing")
    best = code.call("searchTools", query="convert time zones", limit=2)["result"]["structuredContent"]
    details = code.call("getToolDetails", name="mcp_Time_convert_time")["result"]["structuredContent"]
    wrong = code.call("getToolDetails", name="mcp_Time_convert_tim")

    assert best["tools"][0]["name"] == "mcp_Time_convert_time"
    assert set(best["servers"]) == {"Time", "Git", "Everything"}
    assert details["signature"].startswith("def mcp_Time_convert_time(source_timezone: str, time: str")
    assert "did you mean `mcp_Time_convert_time`" in text(wrong)


def test_the_guide_can_be_read(code: Connection) -> None:
    read = code.ask("resources/read", {"uri": "codemode://guide"})["result"]["contents"][0]

    assert "How to use executeCode" in read["text"]
