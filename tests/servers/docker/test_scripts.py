"""The toolset `scripts` as clients see it, through a gate, in containers of a real engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import PYTHON_2, Connection, Drivers, Json, failed
from tests.e2e.world import wait_for
from tests.needs import needs_docker
from tests.servers.docker.world import (
    BUSYBOX,
    PYTHON,
    box,
    called,
    checked,
    data,
    docker,
    first,
    foreign,
    fresh,
    over_stdio,
    processes,
)
from tests.servers.python.world import walled

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]

SCRIPT = """\
# every quote: ' " ''' \\" \\' ` and a heredoc's end:
EOF
$HOME ${PATH} $(id) `id` \\n \\\\ % !
"""


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


@pytest.fixture(scope="module")
def server(clients: Drivers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    folder = tmp_path_factory.mktemp("docker")
    target = over_stdio(folder, needs_docker(), "--no-pull", "--grant", fresh())
    with clients.connect(PYTHON_2, target) as connection:
        yield connection


@pytest.fixture(scope="module")
def pot(server: Connection) -> Iterator[str]:
    with box(server) as name:
        yield name


def script(server: Connection, container: str, content: str, args: str = "") -> Json:
    return called(
        server, "execute_python_script", container_name=container, script_content=content, script_args=args
    )


def code(server: Connection, container: str, command: str) -> Json:
    return called(server, "execute_code", container_name=container, command=command)


# --- execute_python_script ----------------------------------------------------------------------


def test_a_script_answers_what_it_printed(server: Connection, pot: str) -> None:
    result = script(server, pot, "import sys\nprint('hello')\nprint('careful', file=sys.stderr)")

    assert first(result) == "Command output: hello\n"
    assert data(result) == {"exitCode": 0, "stdout": "hello\n", "stderr": "careful\n", "timedOut": False}
    assert result["isError"] is False


def test_a_script_arrives_byte_for_byte(server: Connection, pot: str) -> None:
    content = (
        f"import sys, hashlib\nT = {SCRIPT!r}\nprint(hashlib.sha256(open(__file__, 'rb').read()).hexdigest())"
    )
    result = script(server, pot, content)

    assert data(result)["stdout"].strip() == hashlib.sha256(content.encode()).hexdigest()


def test_a_script_of_140_kilobytes_with_every_quote_arrives_whole(server: Connection, pot: str) -> None:
    body = "# " + "'\"$HOME`id`\\ä€😀" * 9_000 + "\n"
    content = body + "import hashlib\nprint(hashlib.sha256(open(__file__, 'rb').read()).hexdigest())"
    assert len(content.encode()) > 140_000

    result = script(server, pot, content)

    assert data(result)["stdout"].strip() == hashlib.sha256(content.encode()).hexdigest()


def test_ten_scripts_at_once_get_each_their_own_answer(server: Connection, pot: str) -> None:
    begun = [
        server.begin(
            "tools/call",
            {
                "name": "execute_python_script",
                "arguments": {"container_name": pot, "script_content": f"print({number})"},
            },
        )
        for number in range(10)
    ]

    told = [first(checked("execute_python_script", server.driver.reply(number, 60))) for number in begun]

    assert told == [f"Command output: {number}\n" for number in range(10)]


def test_arguments_are_words_with_the_quotes_right(server: Connection, pot: str) -> None:
    result = script(server, pot, "import sys\nprint(sys.argv[1:])", "a 'b c' \"d 'e'\" --flag $HOME")

    assert data(result)["stdout"] == "['a', 'b c', \"d 'e'\", '--flag', '$HOME']\n"


def test_a_failing_script_keeps_what_it_printed(server: Connection, pot: str) -> None:
    result = script(server, pot, "print('before')\nraise SystemExit('no')")

    assert first(result) == "Error executing Python script: no\n"
    assert data(result) == {"exitCode": 1, "stdout": "before\n", "stderr": "no\n", "timedOut": False}
    assert result["isError"] is False


def test_an_exception_is_told_with_its_line(server: Connection, pot: str) -> None:
    result = script(server, pot, "x = 1\nx / 0")

    assert first(result).startswith("Error executing Python script: Traceback")
    assert "line 2" in first(result)
    assert "ZeroDivisionError" in data(result)["stderr"]


def test_a_script_needs_no_bash_and_no_shell(server: Connection, pot: str) -> None:
    assert docker("exec", pot, "python3", "-c", "import shutil; print(shutil.which('bash'))") == "None\n"

    assert data(script(server, pot, "print('ran')"))["stdout"] == "ran\n"


def test_without_python_it_says_so(server: Connection) -> None:
    with box(server, BUSYBOX) as name:
        result = script(server, name, "print('ran')")

    assert first(result).startswith("Error executing Python script: there is no Python in the container")
    assert data(result)["exitCode"] == 1


def test_much_output_is_cut_and_can_be_read_whole(server: Connection, pot: str) -> None:
    result = script(server, pot, "print('x' * 200_000)")

    assert len(first(result)) < 70_000
    uri = next(part["uri"] for part in result["content"] if part["type"] == "resource_link")
    whole = server.ask("resources/read", {"uri": uri})["result"]["contents"][0]["text"]
    assert whole == "x" * 200_000 + "\n"


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_script_that_takes_more_than_a_minute_is_ended_in_the_container(
    server: Connection, pot: str
) -> None:
    """A minute is what the original promises, and cannot be changed by a caller."""
    assert data(script(server, pot, "print('first')"))["stdout"] == "first\n"
    before = len(processes(pot, "python3"))
    number = server.begin(
        "tools/call",
        {
            "name": "execute_python_script",
            "arguments": {
                "container_name": pot,
                "script_content": "import time\nprint('half', flush=True)\ntime.sleep(594)",
            },
        },
    )
    result = checked("execute_python_script", server.driver.reply(number, 90))

    assert first(result) == "Timeout while executing Python script. Operation took too long."
    assert data(result) == {"exitCode": 124, "stdout": "half\n", "stderr": "", "timedOut": True}
    assert data(script(server, pot, "print('next')"))["stdout"] == "next\n"
    wait_for("the end of the script's process", lambda: len(processes(pot, "python3")) <= before)


# --- execute_code -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("python -c 'print(1+1)'", "2\n"),
        ("python3 -c 'print(1+1)'", "2\n"),
        ('python -c "import sys; print(\'a b\', sys.argv[1:])" x "y z"', "a b ['x', 'y z']\n"),
        ("python -c print(3)", "3\n"),
    ],
)
def test_code_of_python_runs_with_its_quotes_right(
    server: Connection, pot: str, command: str, printed: str
) -> None:
    result = code(server, pot, command)

    assert first(result) == f"Command output: {printed}"
    assert data(result)["exitCode"] == 0


def test_python3_stands_in_for_python_and_that_is_said(server: Connection, pot: str) -> None:
    assert docker("exec", pot, "python3", "-c", "import shutil; print(shutil.which('python'))") == "None\n"

    result = code(server, pot, "python -c 'print(1)'")

    assert result["content"][1]["text"] == "there is no `python` in this container, so `python3` ran it"


def test_a_pipe_is_an_argument_and_that_is_said(server: Connection) -> None:
    with box(server, BUSYBOX) as name:
        result = code(server, name, "echo a | wc -c")
        assert first(result) == "Command output: a | wc -c\n"
        assert "sh -c 'echo a | wc -c'" in result["content"][1]["text"]
        assert first(code(server, name, "sh -c 'echo a | wc -c'")) == "Command output: 2\n"


def test_a_failing_command_keeps_what_it_printed_and_its_exit_code(server: Connection, pot: str) -> None:
    command = "python -c \"import sys; print('before'); print('no', file=sys.stderr); sys.exit(3)\""
    result = code(server, pot, command)

    assert first(result) == "Error executing command: no\n"
    assert data(result) == {"exitCode": 3, "stdout": "before\n", "stderr": "no\n", "timedOut": False}


@pytest.mark.slow
def test_a_command_that_takes_more_than_half_a_minute_is_ended_in_the_container(
    server: Connection, pot: str
) -> None:
    command = "python3 -c \"import time; print('half', flush=True); time.sleep(593)\""
    number = server.begin(
        "tools/call", {"name": "execute_code", "arguments": {"container_name": pot, "command": command}}
    )
    result = checked("execute_code", server.driver.reply(number, 60))

    assert first(result) == "Timeout while executing command. Operation took too long."
    assert data(result)["stdout"] == "half\n"
    assert data(result)["timedOut"] is True
    assert processes(pot, "sleep(593)") == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("", "`command` is empty"),
        ("echo 'a", "No closing quotation"),
        ("-it sh", "`command` begins with `-it`"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(
    server: Connection, pot: str, command: str, reason: str
) -> None:
    result = code(server, pot, command)

    assert first(result).startswith("Error executing command: ")
    assert reason in first(result)
    assert data(result)["exitCode"] == 1


def test_a_missing_program_is_told_by_its_exit_code(server: Connection, pot: str) -> None:
    result = code(server, pot, "no-such-program")

    assert first(result).startswith("Error executing command: ")
    assert data(result)["exitCode"] == 127


# --- create_container ---------------------------------------------------------------------------


def test_a_container_is_made_walled_off_and_removed(server: Connection) -> None:
    with box(server, name=(name := fresh())):
        made = docker(
            "inspect", name, "--format",
            "{{.HostConfig.NetworkMode}} {{.HostConfig.Privileged}} {{.HostConfig.CapDrop}} "
            "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{len .Mounts}} {{.Config.User}}",
        )  # fmt: skip
        assert made.split()[:3] == ["none", "false", "[ALL]"], made
        assert made.split()[3] == str(512 << 20)
        assert made.split()[4] == "128"
        assert "no-new-privileges" in docker("inspect", name, "--format", "{{.HostConfig.SecurityOpt}}")
    assert name not in docker("ps", "-a", "--format", "{{.Names}}")


def test_the_answer_is_the_whole_id(server: Connection) -> None:
    name = fresh()
    result = called(server, "create_container", image=PYTHON, container_name=name)
    identity = docker("inspect", name, "--format", "{{.Id}}").strip()

    assert first(result) == f"Container created with ID: {identity}"
    assert data(result) == {"exitCode": 0, "stdout": identity, "stderr": "", "timedOut": False}
    gone = called(server, "cleanup_container", container_name=name)
    assert first(gone) in {
        f"Container '{name}' has been stopped and removed.",
        f"Container '{name}' has been forcibly removed after timeout.",
    }


@pytest.mark.parametrize(
    ("image", "name", "dependencies"),
    [
        (PYTHON, "--privileged", ""),
        (PYTHON, "-v=/:/host", ""),
        (PYTHON, "a b", ""),
        (PYTHON, "a;id", ""),
        (PYTHON, "../a", ""),
        (PYTHON, "a/b", ""),
        (PYTHON, "", ""),
        (PYTHON, "a\nb", ""),
        (PYTHON, "$(id)", ""),
        (PYTHON, "é", ""),
        (PYTHON, "a" * 256, ""),
        ("--privileged", "box", ""),
        ("-it", "box", ""),
        ("python:3.12 --privileged", "box", ""),
        ("python;id", "box", ""),
        ("../python", "box", ""),
        ("", "box", ""),
        ("UPPER/Case", "box", ""),
        ("a\nb", "box", ""),
        ("$(id)", "box", ""),
        ("file:///etc/passwd", "box", ""),
        (PYTHON, "box", "x; touch /pwn"),
        (PYTHON, "box", "--index-url=http://h/"),
        (PYTHON, "box", "$(touch /pwn)"),
    ],
)
def test_names_and_packages_that_cannot_be_are_refused_and_nothing_is_made(
    server: Connection, image: str, name: str, dependencies: str
) -> None:
    before = data(called(server, "ps"))["containers"]
    result = called(server, "create_container", image=image, container_name=name, dependencies=dependencies)

    assert first(result).startswith("Error creating container: ")
    assert data(result)["exitCode"] == 1
    after = data(called(server, "ps"))["containers"]
    # One that was removed before may have been listed for a moment still.
    assert {one["id"] for one in after} <= {one["id"] for one in before}


def test_a_taken_name_and_a_missing_image_are_told(server: Connection, pot: str) -> None:
    taken = called(server, "create_container", image=PYTHON, container_name=pot)
    assert first(taken).startswith("Error creating container: ")
    assert "is there already" in first(taken)

    missing = called(server, "create_container", image="no/such:image", container_name=fresh())
    assert first(missing).startswith("Error creating container: ")
    assert "not pulled here" in first(missing)


# --- packages -----------------------------------------------------------------------------------


def test_packages_are_never_read_by_a_shell(server: Connection, pot: str) -> None:
    result = called(server, "add_dependencies", container_name=pot, dependencies="x; touch /tmp/pwn")

    assert first(result).startswith("Error installing dependencies: ")
    assert "cannot be a package" in first(result)
    assert (
        data(code(server, pot, "python3 -c \"import os; print(os.path.exists('/tmp/pwn'))\""))["stdout"]
        == "False\n"
    )


def test_without_a_package_manager_it_says_so(server: Connection) -> None:
    with box(server, BUSYBOX) as name:
        result = called(server, "add_dependencies", container_name=name, dependencies="x")

    assert first(result) == "No supported package managers found in the container"


def test_of_a_container_that_is_not_there_it_says_so(server: Connection) -> None:
    result = called(server, "add_dependencies", container_name="nobody", dependencies="x")

    assert first(result) == "Container 'nobody' is not running or does not exist"
    assert data(result)["exitCode"] == 1


def test_packages_come_into_a_container_that_reaches_no_network(clients: Drivers, tmp_path: Path) -> None:
    target = over_stdio(tmp_path, needs_docker(), "--grant", fresh(), env=walled())
    with clients.connect(PYTHON_2, target) as server:
        arguments = {"image": PYTHON, "container_name": (name := fresh()), "dependencies": "humanize>=4"}
        made = called(server, "create_container", **arguments)
        assert first(made).endswith("\nDependencies installed: humanize>=4"), made
        ran = script(server, name, "import humanize\nprint(humanize.intcomma(1234567))")
        assert first(ran) == "Command output: 1,234,567\n"
        missing = called(
            server, "add_dependencies", container_name=name, dependencies="ostiary-no-such-package"
        )
        assert first(missing).startswith("Error installing dependencies: ")
        assert data(missing)["exitCode"] == 1
        called(server, "cleanup_container", container_name=name)


def test_where_packages_cannot_be_resolved_safely_the_container_is_there_and_it_says_so(
    clients: Drivers, tmp_path: Path
) -> None:
    target = over_stdio(tmp_path, needs_docker(), "--grant", fresh(), env={"PATH": str(tmp_path)})
    with clients.connect(PYTHON_2, target) as server:
        arguments = {"image": PYTHON, "container_name": (name := fresh()), "dependencies": "humanize"}
        made = called(server, "create_container", **arguments)
        assert first(made).startswith("Container created with ID: ")
        assert "\nError installing dependencies: " in first(made)
        assert "bubblewrap" in first(made)
        called(server, "cleanup_container", container_name=name)


# --- cleanup_container, list_containers ---------------------------------------------------------


def test_only_ones_own_containers_are_removed(clients: Drivers, tmp_path: Path) -> None:
    target = over_stdio(tmp_path, needs_docker(), "--container", name := fresh("theirs"))
    with foreign(name), clients.connect(PYTHON_2, target) as server:
        refused = called(server, "cleanup_container", container_name=name)
        assert first(refused).startswith("Error cleaning the container: ")
        assert "was not created here" in first(refused)

        unknown = called(server, "cleanup_container", container_name="nobody")
        assert first(unknown).startswith("Error cleaning the container: ")
        assert docker("inspect", name, "--format", "{{.State.Running}}") == "true\n"


def test_that_there_is_no_container_can_be_said(clients: Drivers, tmp_path: Path) -> None:
    with clients.connect(PYTHON_2, over_stdio(tmp_path, needs_docker(), "--grant", fresh())) as server:
        assert first(called(server, "list_containers")) == "No existing containers found."
        assert first(called(server, "list_containers", show_all=False)) == "No running containers found."
        with box(server) as name:
            lines = first(called(server, "list_containers")).splitlines()
            assert lines[0].split("  ")[0] == "CONTAINER ID"
            assert name in lines[1]
            assert PYTHON in lines[1]
            assert "Up" in lines[1]
            assert len(lines) == 4


# --- --strict-errors ----------------------------------------------------------------------------


def test_failures_are_errors_for_clients_only_where_the_operator_wants_it(
    clients: Drivers, tmp_path: Path
) -> None:
    target = over_stdio(tmp_path, needs_docker(), "--strict-errors", "--toolset", "scripts")
    with clients.connect(PYTHON_2, target) as server, box(server) as name:
        assert {tool["name"] for tool in server.ask("tools/list")["result"]["tools"]}.isdisjoint(
            {"exec", "ps"}
        )
        answer = server.call("execute_code", container_name=name, command="no-such-program")
        assert failed(answer)
        assert checked("execute_code", answer)["structuredContent"]["exitCode"] == 127
        assert not failed(server.call("execute_code", container_name=name, command="python3 -V"))
        assert failed(server.call("cleanup_container", container_name="nobody"))
