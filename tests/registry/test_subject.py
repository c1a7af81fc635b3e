"""Which server is meant: what is typed, what a command starts, and nothing secret in what is shown."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.errors import CallerFault
from ostiary.registry.launch import MAX_WORDS, of_command
from ostiary.registry.subject import MAX_TYPED, Subject, of_url, typed


def signs(subject: Subject) -> list[str]:
    return [sign.code for sign in subject.signs]


@pytest.mark.parametrize(
    ("text", "kind", "name", "version", "wanted", "floating"),
    [
        ("mcp-server-time", "name", "mcp-server-time", "", "", False),
        ("mcp-server-time@1.2", "name", "mcp-server-time", "1.2", "", False),
        ("mcp-server-time@latest", "name", "mcp-server-time", "", "latest", True),
        ("@scope/files", "npm", "@scope/files", "", "", False),
        ("@scope/files@1.2.3", "npm", "@scope/files", "1.2.3", "", False),
        ("npm:files@^1.2.3", "npm", "files", "", "^1.2.3", True),
        ("npm:files@1", "npm", "files", "", "1", True),
        ("mcp-server-time==1.2", "pypi", "mcp-server-time", "1.2", "", False),
        ("pypi:MCP_Server.Time>=1,<2", "pypi", "mcp-server-time", "", ">=1,<2", True),
        ("pypi:a[cli]==1.*", "pypi", "a", "", "==1.*", True),
    ],
)
def test_a_name_is_read_as_its_registry_writes_it(
    text: str, kind: str, name: str, version: str, wanted: str, floating: bool
) -> None:
    found = typed(text)

    assert (found.kind, found.name, found.version, found.wanted, found.floating) == (
        kind, name, version, wanted, floating,
    )  # fmt: skip
    assert signs(found) == []


@pytest.mark.parametrize(
    ("command", "spec", "floating"),
    [
        ("npx -y @scope/files@1.2.3 /srv --flag", "npm @scope/files@1.2.3", False),
        ("npx --yes files", "npm files", True),
        ("npx -p @scope/files files", "npm @scope/files", True),
        ("npm exec -- files@1.0.0", "npm files@1.0.0", False),
        ("npm exec -- files@1.0.0 --package=other", "npm files@1.0.0", False),
        ("npm exec files@1.0.0 /srv -- --package=other", "npm files@1.0.0", False),
        ("npx files@1.0.0 --package=other", "npm files@1.0.0", False),
        ("cmd /c npx -y files@1.0.0", "npm files@1.0.0", False),
        ("uvx mcp-server-time", "pypi mcp-server-time", True),
        ("uvx mcp-server-time@2.0", "pypi mcp-server-time==2.0", False),
        ("uvx --from mcp-server-time==2.0 mcp_server_time", "pypi mcp-server-time==2.0", False),
        ("uv tool run --python 3.12 mcp-server-time", "pypi mcp-server-time", True),
        ("pipx run --spec mcp-server-time==2.0 mcp-server-time", "pypi mcp-server-time==2.0", False),
        ("docker run -i --rm -e A=1 mcp/time:1.2", "image mcp/time:1.2", True),
        ("docker run -i r.example:5000/mcp/time", "image r.example:5000/mcp/time", True),
        ("docker run mcp/time@sha256:00", "image mcp/time@sha256:00", False),
    ],
)
def test_a_launcher_starts_the_package_that_it_names(command: str, spec: str, floating: bool) -> None:
    found = of_command(command.split(), {}, "/work")

    assert (f"{found.kind} {found.spec}", found.floating, signs(found)) == (spec, floating, [])


@pytest.mark.parametrize(
    "command",
    [
        "npx --call files",
        "npx --unheard-of files",
        "npx -p one -p two three",
        "npx",
        "uvx --with other files",
        "uvx --python ./evil files",
        "uv tool run -p=/tmp/evil files",
        "pipx run --python evil files",
        "uvx --with-editable . files",
        "docker run --privileged -v /:/x mcp/time",
        "/tmp/npx files",
        "./npx files",
        "node server.js",
        "python -m files",
        "sh -c 'npx files'",
        "",
    ],
)
def test_a_command_that_is_not_understood_is_a_local_program_and_no_package(command: str) -> None:
    found = of_command(command.split(), {}, "/work")

    assert (found.kind, signs(found)) == ("local", ["local-program"])


@pytest.mark.parametrize("launcher", ["npm exec", "npm x"])
@pytest.mark.parametrize(
    "rest",
    [
        "files@1.0.0 --package=other",
        "files@1.0.0 /srv --package other",
        "-y files@1.0.0 --registry=http://other.example",
        "files@1.0.0 --call=other",
        "files@1.0.0 -c other",
        "--package=files@1.0.0 files --package=other -- x",
    ],
)
def test_npm_reads_options_behind_the_package_too_so_that_one_there_makes_it_no_package(
    launcher: str, rest: str
) -> None:
    assert of_command(f"{launcher} {rest}".split(), {}, "/work").kind == "local"


@pytest.mark.parametrize(
    "rest", ["& calc", "&calc", "a|b", "<a", "2>a", "a^", "%COMSPEC%", "a\nb", "--url=http://a/?b&calc"]
)
def test_a_word_that_the_shell_of_windows_takes_apart_makes_a_command_no_package(rest: str) -> None:
    shell = ["cmd", "/c", "npx", "-y", "files@1.0.0", *rest.split(" ")]

    assert of_command(shell, {}, "/work").kind == "local"
    assert of_command(shell[2:], {}, "/work").kind == "npm"


@pytest.mark.parametrize("start", ["npm exec files@1.0.0", "npx files@1.0.0", "docker run mcp/time"])
def test_a_command_with_more_words_than_are_read_is_no_package(start: str) -> None:
    words = [*start.split(), *["x"] * MAX_WORDS]

    assert of_command([*words, "--package=other"], {}, "/work").kind == "local"
    assert of_command(words[:MAX_WORDS], {}, "/work").kind != "local"


@pytest.mark.parametrize(
    "command",
    [
        "npx -y -p files@1.0.0 sh -c evil",
        "npm exec --package=files -- node evil.js",
        "uvx --from files==1 bash",
    ],
)
def test_a_program_that_is_started_beside_a_known_package_is_not_judged_by_it(command: str) -> None:
    assert "other-program" in signs(of_command(command.split(), {}, "/work"))


def test_an_image_with_other_mounts_variables_or_words_is_another_server() -> None:
    commands = [
        "docker run -i --rm mcp/time", "docker run -i --rm mcp/time sh",
        "docker run -e LD_PRELOAD=/x mcp/time",
        "docker run -v ./evil.py:/app/server.py mcp/time",
    ]  # fmt: skip
    keys = [of_command(each.split(), {}, "/work").key for each in commands]

    assert len(set(keys)) == len(keys)
    assert keys[0] == of_command(["docker", "run", "mcp/time:2"], {}, "/other").key
    assert keys[3] != of_command(commands[3].split(), {}, "/other").key


@pytest.mark.parametrize(
    "command",
    [
        "npx github:someone/files",
        "npx someone/files",
        "npx ./files",
        "npx files@npm:other@1.0.0",
        "npx https://example.org/files.tgz",
        "uvx git+https://example.org/files",
        "uvx --from ./files start",
        "npx --registry https://example.org files",
        "uvx --index-url=https://example.org files",
        "pipx run --pip-args=x files",
    ],
)
def test_code_from_somewhere_else_is_never_taken_for_the_registry_s_package(command: str) -> None:
    found = of_command(command.split(), {}, "/work")

    assert found.kind == "local" or "other-source" in signs(found)


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD", "NODE_OPTIONS", "npm_config_registry", "UV_INDEX_URL", "PYTHONPATH", "BASH_ENV",
        "PATH", "Path", "HOME", "XDG_CONFIG_HOME", "UV_ENV_FILE", "DOCKER_HOST", "COREPACK_NPM_REGISTRY",
    ],
)  # fmt: skip
def test_a_variable_that_decides_which_code_runs_is_told(name: str) -> None:
    assert "deciding-variable" in signs(of_command(["npx", "files@1.0.0"], {name: "x"}, "/work"))
    assert signs(of_command(["npx", "files@1.0.0"], {"API_KEY": "x"}, "/work")) == []


@pytest.mark.parametrize(
    "text",
    ["a==1.2", "a@latest", "a>=1,<2", "@a/b@1.2.3", "@a/b@latest", "@a/b", "pypi:a@latest", "npm:a@^1"],
)
def test_a_package_is_shown_as_it_was_typed(text: str) -> None:
    assert typed(text).spec == text.removeprefix("pypi:").removeprefix("npm:")


@pytest.mark.parametrize("command", ["./server", "node server.js", "npx ./server", "uvx --from . server"])
def test_a_local_program_in_another_folder_is_another_server(command: str) -> None:
    keys = {of_command(command.split(), {}, folder).key for folder in ("/one", "/two")}

    assert len(keys) == 2


@pytest.mark.parametrize(
    "command", ["npx a\udcff", "uvx a\udcff", "docker run a\udcff", "./a\udcff", "npx ./a\udcff"]
)
def test_bytes_that_are_no_text_are_shown_as_text_and_still_told_apart(command: str) -> None:
    first, second = (of_command(each.split(), {}, "/") for each in (command, command + "\udcfe"))

    assert (first.name + first.key).encode()
    assert first.kind != "local" or first.key != second.key


@pytest.mark.parametrize(
    "word", ["a/" * 32_000 + " ", "1." * 32_000, "a@" * 32_000, "[" * 64_000, "=" * 64_000, "." * 64_000]
)
def test_a_word_of_64_kilobytes_takes_no_time(word: str) -> None:
    started = time.process_time()
    for launcher in (["npx"], ["uvx"], ["docker", "run"], []):
        assert of_command([*launcher, word], {}, "/").key

    assert time.process_time() - started < 2


def test_versions_of_a_package_share_what_is_remembered_of_it() -> None:
    assert typed("@a/b@1.0.0").key == typed("@a/b").key == of_command(["npx", "@a/b@2.0.0"], {}, "/").key


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://mcp.example.org/mcp", "plain-http"),
        ("https://mcp.exаmple.org/mcp", "odd-host"),
        ("https://xn--mcp-example.org/mcp", "odd-host"),
        ("https://user:hunter2@mcp.example.org/mcp", "secret-in-url"),
    ],
)
def test_a_url_tells_what_is_wrong_with_it(url: str, code: str) -> None:
    assert signs(of_url(url)) == [code]


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/mcp", "http://127.0.0.1/mcp", "https://a.example/mcp"]
)
def test_a_url_with_nothing_wrong_has_no_sign(url: str) -> None:
    assert signs(of_url(url)) == []


def test_what_is_shown_and_kept_of_a_url_or_a_command_holds_no_secret() -> None:
    url = of_url("https://user:hunter2@mcp.example.org/s/hunter2/mcp?key=hunter2")
    command = of_command(["/usr/bin/server", "--token", "hunter2"], {"TOKEN": "hunter2"}, "/work")

    for each in (url, command):
        assert "hunter2" not in repr(each) + each.key + each.spec


@pytest.mark.parametrize(
    "text", ["", "  ", "ftp://a/", "https://", "http:// a/", "http://[::1", "x" * (MAX_TYPED + 1)]
)
def test_what_is_no_server_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(CallerFault) as refused:
        typed(text)

    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    "text", ["\x1b[31mfiles", "files\u202e", "f\u0456les", "x" * 300, "npm:a b", "pypi:-a"]
)
def test_a_name_that_no_package_can_have_is_told(text: str) -> None:
    found = typed(text)

    assert "odd-name" in signs(found)
    assert all(sign.text.isprintable() for sign in found.signs)


@given(st.one_of(st.text(), st.text(alphabet="@/:=<>~.[]-ab1 ")))
def test_whatever_is_typed_is_a_subject_or_is_refused(text: str) -> None:
    try:
        found = typed(text)
    except CallerFault:
        return

    assert len(found.name) <= MAX_TYPED
    assert not (found.floating and found.version)


@given(st.lists(st.text(alphabet="-npxuv y@/=:ab1"), max_size=6), st.dictionaries(st.text(), st.text()))
def test_whatever_a_configuration_starts_is_a_subject(
    command: list[str], environment: dict[str, str]
) -> None:
    assert of_command(command, environment, "/").key
    assert of_command(["npx", *command], environment, "/").key


@pytest.mark.parametrize(
    "command",
    [
        ["server --token s3cret"],
        ["/opt/server --token=/s3cret"],
        ["/opt/server TOKEN=/s3cret"],
        ["npx", "https://example.org/files.tgz?token=s3cret"],
        ["uvx", "git+https://s3cret@example.org/files#s3cret"],
    ],
)
def test_what_is_shown_of_a_command_holds_nothing_that_may_be_secret(command: list[str]) -> None:
    found = of_command(command, {}, "/work")

    assert "s3cret" not in repr(found)
