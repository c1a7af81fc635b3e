"""`ostiary run SERVER`: what its options come to, and what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostiary.builtin import DockerOptions, PythonOptions
from ostiary.cli.proxy import read_options as read_proxy_options
from ostiary.cli.run import COMMANDS, read_options
from ostiary.errors import CallerFault


def test_without_options_it_is_cpython_behind_strict_walls_under_the_policy_that_comes_with_it() -> None:
    options = read_options(["python"])

    assert options.builtin == PythonOptions(engine="cpython", isolation="strict")
    assert options.policy == COMMANDS["python"].policy
    assert COMMANDS["python"].policy.is_file()
    assert (options.server, options.upstream, options.command) == ("python", None, ())


def test_options_reach_the_server() -> None:
    words = [
        "python",
        "--engine",
        "pyodide",
        "--isolation",
        "best-effort",
        "--naming",
        "both",
        "-p",
        "own.yaml",
    ]

    options = read_options(words)

    assert options.builtin == PythonOptions(engine="pyodide", isolation="best-effort", naming="both")
    assert options.policy == Path("own.yaml")


def test_no_isolation_is_asked_for_by_its_unsafe_name_only() -> None:
    options = read_options(["python", "--unsafe-no-isolation"]).builtin

    assert isinstance(options, PythonOptions)
    assert options.isolation == "none"
    with pytest.raises(CallerFault, match="invalid choice: `none`"):
        read_options(["python", "--isolation", "none"])
    with pytest.raises(CallerFault, match="contradict each other"):
        read_options(["python", "--isolation", "strict", "--unsafe-no-isolation"])


def test_modules_to_preload_are_names_and_for_cpython() -> None:
    options = read_options(["python", "--preload", "numpy", "--preload", "xml.dom"]).builtin

    assert isinstance(options, PythonOptions)
    assert options.preload == ("numpy", "xml.dom")
    with pytest.raises(CallerFault, match="is not the name of a module"):
        read_options(["python", "--preload", "os; print(1)"])
    with pytest.raises(CallerFault, match="is for the engine cpython"):
        read_options(["python", "--engine", "pyodide", "--preload", "numpy"])


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        ([], "which server is missing", "ostiary run python"),
        (["pyton"], "there is no built-in server `pyton`", "did you mean `python`"),
        (["python", "--isolaton", "strict"], "unknown option `--isolaton`", "did you mean `--isolation`"),
        (["python", "--upstream", "http://h/mcp"], "unknown option `--upstream`", "did you mean"),
        (["python", "server"], "unexpected argument `server`", ""),
    ],
)
def test_what_cannot_be_meant_says_what_could(words: list[str], what: str, hint: str) -> None:
    with pytest.raises(CallerFault) as told:
        read_options(words)

    assert what in told.value.message
    assert hint in (told.value.hint or "")


def test_the_server_is_an_upstream_of_any_gate_where_no_policy_means_no() -> None:
    options = read_proxy_options(["--upstream", "builtin:python"])

    assert options.builtin == PythonOptions()
    assert (options.policy, options.upstream) == (None, None)
    with pytest.raises(CallerFault, match="there is no built-in server `ruby`"):
        read_proxy_options(["--upstream", "builtin:ruby"])
    with pytest.raises(CallerFault, match="both --upstream and a command"):
        read_proxy_options(["--upstream", "builtin:python", "--", "true"])


def test_without_options_containers_are_walled_off_and_nobody_elses_can_be_used() -> None:
    options = read_options(["docker"])

    assert options.builtin == DockerOptions()
    assert options.builtin == DockerOptions(toolsets=("exec", "scripts"), network="none", containers=())
    assert options.policy == COMMANDS["docker"].policy
    assert COMMANDS["docker"].policy.is_file()
    assert DockerOptions().unsafe() == ()


def test_options_reach_the_containers_server(tmp_path: Path) -> None:
    words = [
        "docker", "--toolset", "scripts", "--naming", "both", "--docker-host", "unix:///run/podman/podman.sock",
        "--container", "web", "--container", "db", "--network", "inner", "--runtime", "runsc",
        "--container-ttl", "60", "--no-pull", "--work-folder", str(tmp_path), "--strict-errors",
    ]  # fmt: skip

    assert read_options(words).builtin == DockerOptions(
        toolsets=("scripts",),
        naming="both",
        host="unix:///run/podman/podman.sock",
        containers=("web", "db"),
        network="inner",
        runtime="runsc",
        container_ttl_s=60,
        pull=False,
        work_folder=tmp_path,
        strict_errors=True,
    )


def test_what_opens_containers_has_an_unsafe_name_and_is_said() -> None:
    options = read_options(["docker", "--unsafe-any-container", "--unsafe-writable-root"]).builtin

    assert isinstance(options, DockerOptions)
    assert [line.split(":")[0] for line in options.unsafe()] == [
        "--unsafe-any-container",
        "--unsafe-writable-root",
    ]
    with pytest.raises(CallerFault, match="contradict each other"):
        read_options(["docker", "--unsafe-any-container", "--container", "web"])


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--toolset", "exec,shell"], "there is no toolset `shell`"),
        (["--toolset", ""], "there is no toolset ``"),
        (["--container", "-it"], "expected one argument|`-it` is not a name|needs a value"),
        (["--container", "a/b"], "`a/b` is not a name"),
        (["--container", ""], "`` is not a name"),
        (["--network", "host"], "`host` is not offered"),
        (["--network", "container:db"], "`container:db` is not offered"),
        (["--runtime", "a b"], "`a b` is not a name"),
        (["--docker-host", "docker"], "is not an engine's address"),
        (["--docker-host", "ssh://there"], "is not an engine's address"),
        (["--docker-host", "tcp://user:word@there"], "is not an engine's address"),
        (["--container-ttl", "9"], "expected 10 to 604800 seconds, found 9"),
        (["--container-ttl", "604801"], "expected 10 to 604800 seconds"),
        (["--work-folder", "/nowhere/at/all"], "there is no folder /nowhere/at/all"),
    ],
)
def test_what_cannot_be_meant_of_containers_is_refused(words: list[str], what: str) -> None:
    with pytest.raises(CallerFault, match=what):
        read_options(["docker", *words])


def test_the_containers_server_is_an_upstream_of_any_gate() -> None:
    options = read_proxy_options(["--upstream", "builtin:docker"])

    assert options.builtin == DockerOptions()
    assert (options.policy, options.upstream) == (None, None)
