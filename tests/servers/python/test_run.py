"""`run` and its resources as clients see them, behind walls that are really there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from ostiary.servers.python.schemas import RAN
from tests.e2e.driver import PYTHON_2, PYTHON_2_LEGACY, Connection, Drivers, Json, failed, text
from tests.e2e.world import ostiary, wait_for
from tests.servers.python.world import over_stdio

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\nIDATx\x9cc\0\x01\0\0\x05"
    b"\0\x01\r\n-\xb4\0\0\0\0IEND\xaeB`\x82"
).decode()


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


@pytest.fixture(scope="module", params=[PYTHON_2, PYTHON_2_LEGACY], ids=lambda kind: kind.name)
def python(
    request: pytest.FixtureRequest, clients: Drivers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Connection]:
    with clients.connect(request.param, over_stdio(tmp_path_factory.mktemp("python"))) as connection:
        yield connection


def ran(connection: Connection, tool: str = "run", **arguments: Json) -> Json:
    answer = connection.call(tool, **arguments)
    assert "result" in answer, answer
    if "structuredContent" in answer["result"]:
        jsonschema.validate(answer["result"]["structuredContent"], RAN)
    return answer


def data(answer: Json) -> Json:
    return answer["result"]["structuredContent"]


def read(connection: Connection, uri: str) -> Json:
    return connection.ask("resources/read", {"uri": uri})["result"]["contents"][0]


def test_a_session_keeps_its_variables_and_others_do_not_see_them(python: Connection) -> None:
    ran(python, code="x = 41", session="one")

    assert text(ran(python, code="x + 1", session="one")) == "__RESULT__:\n42"
    assert "NameError" in text(ran(python, code="x", session="two"))
    assert "NameError" in text(ran(python, code="x"))


def test_a_session_that_ran_too_long_is_lost_and_says_so(python: Connection) -> None:
    ran(python, code="x = 1", session="lost")

    answer = ran(python, code="while True: pass", session="lost", timeout_ms=400)

    assert failed(answer)
    assert "the session `lost` has ended and its variables are gone" in text(answer)
    assert data(answer)["session_lost"] is True
    assert "NameError" in text(ran(python, code="x", session="lost"))


def test_an_ended_session_is_forgotten(python: Connection) -> None:
    ran(python, code="x = 1", session="ended")

    first = python.call("end_session", session="ended")
    again = python.call("end_session", session="ended")

    assert data(first) == {"session": "ended", "ended": True}
    assert data(again) == {"session": "ended", "ended": False}
    assert "NameError" in text(ran(python, code="x", session="ended"))


def test_files_go_in_and_artifacts_come_out(python: Connection) -> None:
    code = "text = open('data/in.txt').read()\nopen('out/up.txt', 'w').write(text.upper())\n"
    code += "len(open('b', 'rb').read())"
    files = [
        {"name": "data/in.txt", "text": "wörter"},
        {"name": "b", "base64": base64.b64encode(bytes(7)).decode()},
    ]

    answer = ran(python, code=code, files=files)

    assert text(answer).startswith("__RESULT__:\n7")
    [artifact] = data(answer)["artifacts"]
    assert (artifact["name"], artifact["size"]) == ("up.txt", len("WÖRTER".encode()))
    assert read(python, artifact["uri"])["text"] == "WÖRTER"


def test_an_image_is_shown(python: Connection) -> None:
    answer = ran(python, code=f"import base64\nopen('out/dot.png', 'wb').write(base64.b64decode('{PNG}'))")

    [shown] = [part for part in answer["result"]["content"] if part["type"] == "image"]
    assert (shown["mimeType"], shown["data"]) == ("image/png", PNG)


def test_standard_input_is_read(python: Connection) -> None:
    assert text(ran(python, code="input() + input()", stdin="a\nb\n")) == "__RESULT__:\nab"


def test_a_run_in_the_background_can_be_asked_for_and_ended(python: Connection) -> None:
    began = data(ran(python, code="print('on', flush=True)\nwhile True: pass", background=True))
    run_id = began["run_id"]
    assert began["status"] in {"pending", "running"}
    wait_for("its output", lambda: data(ran(python, "get_run", run_id=run_id)).get("stdout") == "on\n")

    ended = ran(python, "cancel_run", run_id=run_id)

    assert not failed(ended)
    assert data(ended)["status"] == "cancelled"
    assert data(ran(python, "get_run", run_id=run_id))["stdout"] == "on\n"


def test_an_emergency_stop_ends_a_run_in_the_background(clients: Drivers, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with clients.connect(PYTHON_2, over_stdio(tmp_path)) as python:
        run_id = data(ran(python, code="print('on', flush=True)\nwhile True: pass", background=True))[
            "run_id"
        ]
        wait_for("its output", lambda: data(ran(python, "get_run", run_id=run_id)).get("stdout") == "on\n")

        assert ostiary("stop", "on", "--all", state=state).returncode == 0
        wait_for("the stop", lambda: "stopped" in text(python.call("get_run", run_id=run_id)))
        assert ostiary("stop", "off", "--all", state=state).returncode == 0
        wait_for("its end", lambda: "cancelled" in text(python.call("get_run", run_id=run_id)))


def test_a_run_that_nobody_knows_is_told_so(python: Connection) -> None:
    for tool in ("get_run", "cancel_run"):
        answer = python.call(tool, run_id="run_none")
        assert failed(answer)
        assert "no run `run_none` is known" in text(answer)


def test_a_bad_file_name_runs_nothing_and_says_why(python: Connection) -> None:
    answer = python.call("run", code="print('ran')", files=[{"name": "../x", "text": ""}])

    assert failed(answer)
    assert "`../x` is not a name for a file" in text(answer)


def test_a_session_can_be_read_as_history_and_as_a_notebook(python: Connection) -> None:
    ran(python, code="a = 1\nprint(a)", session="told")
    ran(python, code="a / 0", session="told")

    history = json.loads(read(python, "session://told/history")["text"])
    notebook = json.loads(read(python, "session://told/notebook")["text"])

    assert [(run["code"], run["status"]) for run in history["runs"]] == [
        ("a = 1\nprint(a)", "success"),
        ("a / 0", "error"),
    ]
    assert [cell["outputs"][0]["output_type"] for cell in notebook["cells"]] == ["stream", "error"]
    listed = {one["uri"] for one in python.ask("resources/list")["result"]["resources"]}
    assert {"session://told/history", "sandbox://status"} <= listed


def test_the_status_names_engine_walls_and_layers(python: Connection) -> None:
    status = json.loads(read(python, "sandbox://status")["text"])

    assert status["engine"] == "cpython"
    assert status["isolation"]["level"] == "strict"
    assert {"bubblewrap", "user namespaces", "seccomp"} <= {layer["name"] for layer in status["layers"]}


def test_progress_is_told_of_a_long_run(python: Connection) -> None:
    answer = ran(python, code="import time\ntime.sleep(5.5)")

    assert answer["progress"] != []
