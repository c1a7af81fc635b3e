"""What the original's description of `executeCode` promises about code, a test for each sentence of it.

Behind a gate, with an official client and published servers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import PYTHON_2, Connection, Drivers, failed, text
from tests.e2e.world import make_repository
from tests.servers.code.test_code_mode import executed, over_stdio

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

POLICY = """\
version: "1"
servers:
  code:
    default: allow
    tools: {asyncExecuteCode: {limits: [{counter: begun, window: minute, max: 2}]}}
    resources: {default: allow}
  Time:
    default: deny
    tools:
      get_current_time: {}
      convert_time: {limits: [{counter: conversions, window: minute, max: 2}]}
"""
NOW = "mcp_Time_get_current_time"
IN_CPYTHON = "import subprocess\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seed")


@pytest.fixture(scope="module")
def code(folder: Path) -> Iterator[Connection]:
    drivers = Drivers()
    make_repository(folder)
    with drivers.connect(PYTHON_2, over_stdio(folder, POLICY)) as connection:
        yield connection
    drivers.end()


def test_any_tool_is_called_as_a_python_function(code: Connection) -> None:
    script = f"[{NOW}(timezone='UTC')['timezone'], {NOW}('UTC')['timezone'], mcp_Everything_echo('hi')]"

    data = executed(code, script, mcp_server_names=["Time", "Everything"])

    assert data["result"] == ["UTC", "UTC", "Echo: hi"]


def test_execution_logs_are_rich_and_errors_are_handled(code: Connection) -> None:
    script = f"print('before')\n{NOW}(timezone='UTC')\ntry:\n    {NOW}(timezone='No/Where')\n"
    script += "except ToolError as error:\n    print('caught', 'No/Where' in str(error))\n1 / 0"

    data = executed(code, script, mcp_server_names=["Time"])

    assert data["stdout"] == "before\ncaught True\n"
    assert data["error"]["type"] == "ZeroDivisionError"
    assert "line 7" in data["error"]["traceback"]
    assert [one["ok"] for one in data["tool_calls"]] == [True, False]


def test_outputs_are_parsed_where_they_are_json_and_else_the_original_string(code: Connection) -> None:
    data = executed(
        code,
        "[mcp_Everything_echo(message='{\"a\": [1]}'), type(mcp_Time_get_current_time('UTC')).__name__]",
        mcp_server_names=["Time", "Everything"],
    )

    assert data["result"] == ['Echo: {"a": [1]}', "dict"]


def test_servers_and_tools_have_to_be_named_and_what_is_missing_is_said_before_anything_runs(
    code: Connection,
) -> None:
    script = f"print('ran')\nmcp_Everything_echo(message='hi')\n{NOW}(timezone='UTC')"

    data = executed(code, script, mcp_server_names=["Everything"])

    assert data["error"]["type"] == "ToolMistake"
    assert (
        f"line 3, column 1: {NOW} was not asked for: add `{NOW}` to required_tools"
        in (data["error"]["message"])
    )
    assert (data["stdout"], data["tool_calls"]) == ("", [])


def test_a_guessed_name_is_told_what_comes_near_and_a_search_finds_it(code: Connection) -> None:
    guessed = executed(code, "mcp_Time_get_curent_time(timezone='UTC')", mcp_server_names=["Time"])
    found = json.loads(text(code.call("searchTools", query="current time")))

    assert f"did you mean `{NOW}`" in guessed["error"]["message"]
    assert found["tools"][0]["name"] == NOW


def test_code_finds_its_tools_by_itself(code: Connection) -> None:
    script = """
best = search_tools("current time", limit=1)[0]["name"]
servers = [one["name"] for one in list_servers()]
wanted = tool_details(best)["inputSchema"]["required"]
[best, servers, wanted, call_tool(best, {"timezone": "UTC"})["timezone"],
 call_tool("get_current_time", {"timezone": "UTC"})["timezone"]]
"""
    for start in ("", IN_CPYTHON):
        data = executed(code, start + script, mcp_server_names=["Time"])
        assert data["error"] is None
        assert data["result"] == [NOW, ["Time", "Git", "Everything"], ["timezone"], "UTC", "UTC"]


def test_a_server_that_is_not_there_is_named_with_those_that_are(code: Connection) -> None:
    answer = code.call("executeCode", script="1", mcp_server_names=["Supabase"])

    assert failed(answer)
    assert "there is no server `Supabase`" in text(answer)
    assert "Time, Git, Everything" in text(answer)


def test_input_variables_are_in_the_global_scope_with_their_types(code: Connection) -> None:
    script = (
        "def total():\n    return sum(one['n'] for one in rows) + extra\n[total(), flag is True, nothing]"
    )
    given = {"rows": [{"n": 1}, {"n": 2}], "extra": 0.5, "flag": True, "nothing": None}

    for start in ("", IN_CPYTHON):
        assert executed(code, start + script, input_vars=given)["result"] == [3.5, True, None]


def test_await_before_a_call_is_taken_too(code: Connection) -> None:
    data = executed(
        code, f'(await call_tool("{NOW}", {{"timezone": "UTC"}}))["timezone"]', mcp_server_names=["Time"]
    )

    assert data["result"] == "UTC"


def test_threads_call_tools_in_cpython(code: Connection) -> None:
    script = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(3) as pool:\n"
    script += "    found = list(pool.map(lambda n: mcp_Everything_echo(message=str(n)), range(3)))\nfound"

    data = executed(code, script, mcp_server_names=["Everything"])

    assert (data["engine"], data["result"]) == ("cpython", ["Echo: 0", "Echo: 1", "Echo: 2"])


def test_the_environment_has_nothing_to_read(code: Connection) -> None:
    data = executed(code, "import subprocess, os\nsorted(os.environ)")

    assert not [name for name in data["result"] if "OSTIARY" in name or "TOKEN" in name or "KEY" in name]


def test_polling_with_a_pause_works_in_both_engines(code: Connection) -> None:
    script = "import time\nn = 0\nwhile n < 3:\n    time.sleep(0.01)\n    n = n + 1\nn"

    for start in ("", IN_CPYTHON):
        assert executed(code, start + script)["result"] == 3


def test_python_3_12_syntax_is_taken(code: Connection) -> None:
    assert executed(code, 'd = {"a": 1}\nf"{d["a"]}"')["result"] == "1"


def test_a_tool_can_be_tried_without_code_to_see_its_structure(code: Connection) -> None:
    tried = json.loads(text(code.call("executeTool", name=NOW, arguments={"timezone": "UTC"})))
    data = executed(code, f"sorted({NOW}(timezone='UTC'))", mcp_server_names=["Time"])

    assert sorted(tried["value"]) == data["result"]


def test_labels_and_sessions_are_accepted_and_the_session_comes_back(code: Connection) -> None:
    data = executed(code, "1", name="a label", description="what for", session_id="s-1", local=True)

    assert (data["success"], data["session_id"]) == (True, "s-1")


def test_calls_are_limited_by_the_policy_and_code_is_told(code: Connection) -> None:
    ask = "mcp_Time_convert_time(source_timezone='UTC', time='10:00', target_timezone='Asia/Tokyo')"
    script = (
        f"for n in range(3):\n    try:\n        {ask}\n    except ToolError as error:\n        print(error)"
    )

    data = executed(code, script, mcp_server_names=["Time"])

    assert [one["ok"] for one in data["tool_calls"]] == [True, True, False]
    assert "[POLICY DENIED]" in data["stdout"]


def test_runs_are_limited_by_the_policy_as_well(code: Connection) -> None:
    answers = [code.call("asyncExecuteCode", script="1") for _ in range(3)]

    assert [failed(one) for one in answers] == [False, False, True]
    assert "[POLICY DENIED]" in text(answers[2])


def test_a_run_of_either_engine_can_be_read_as_a_resource(code: Connection) -> None:
    for start in ("", IN_CPYTHON):
        run = executed(code, start + "print('kept')")["execution_id"]
        read = code.ask("resources/read", {"uri": f"run://{run}/stdout"})
        assert read["result"]["contents"][0]["text"] == "kept\n"


def test_the_guide_says_how_to_use_it(code: Connection) -> None:
    read = code.ask("resources/read", {"uri": "codemode://guide"})["result"]["contents"][0]["text"]

    for word in ("search_tools", "call_tool", "paused", "ThreadPoolExecutor"):
        assert word in read
