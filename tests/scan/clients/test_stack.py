"""The stack names what is configured, in what version, and where secrets stand; it shows none of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.scan.clients.config import Config, Configured, configured, entries, parse
from ostiary.scan.clients.launch import host_of, launch
from ostiary.scan.clients.secrecy import is_secret, names_secret
from ostiary.scan.clients.stack import Row, stack

SHA = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "sha256:" + "a" * 64


def found(
    servers: dict[str, Any], name: str = "/home/me/.cursor/mcp.json", key: str = "mcpServers"
) -> Configured:
    document = parse(json.dumps({key: servers}).encode(), Path(name))
    known, troubles = entries(document)
    assert troubles == ()
    return Configured((Config(document.path, document.client, "user", known),))


def row(entry: dict[str, Any]) -> Row:
    [one] = stack(found({"a": entry}))
    return one


@pytest.mark.parametrize(
    ("command", "source", "package", "version", "pin"),
    [
        ("npx -y server-files", "npm", "server-files", "", "floating"),
        ("npx -y pkg@1.2.3", "npm", "pkg", "1.2.3", "pinned"),
        ("npx pkg@latest", "npm", "pkg", "latest", "floating"),
        ("npx pkg@^1.2.3", "npm", "pkg", "^1.2.3", "floating"),
        ("npx -y @scope/pkg@1.2.3-beta.1 /data", "npm", "@scope/pkg", "1.2.3-beta.1", "pinned"),
        ("npx --package=@scope/pkg@2.0.0 run-it", "npm", "@scope/pkg", "2.0.0", "pinned"),
        ("npx -p @scope/pkg -- run-it", "npm", "@scope/pkg", "", "floating"),
        ("npx -y ./server", "file", "", "", "local"),
        ("npx -y github:me/server", "git", "github:me/server", "", "floating"),
        (f"npx -y me/server#{SHA}", "git", "github:me/server", SHA[:12], "pinned"),
        ("npm exec -y pkg@1.0.0", "npm", "pkg", "1.0.0", "pinned"),
        ("npm exec -y pkg@1.0.0 -- --package=x", "npm", "pkg", "1.0.0", "pinned"),
        ("npm exec -y pkg@1.0.0 --package=other", "npm", "", "", "unknown"),
        ("pnpm dlx pkg", "npm", "pkg", "", "floating"),
        ("bunx pkg", "npm", "pkg", "", "floating"),
        ("cmd /c npx -y pkg@1.2.3", "npm", "pkg", "1.2.3", "pinned"),
        ("C:\\node\\npx.cmd -y pkg", "npm", "pkg", "", "floating"),
        ("env A=b npx pkg@1.2.3", "npm", "pkg", "1.2.3", "pinned"),
        ("deno run -A npm:pkg@1.2.3", "npm", "pkg", "1.2.3", "pinned"),
        ("uvx mcp-server-time", "pypi", "mcp-server-time", "", "floating"),
        ("uvx mcp-server-time@2026.1.2", "pypi", "mcp-server-time", "2026.1.2", "pinned"),
        ("uvx mcp-server-time==1.2", "pypi", "mcp-server-time", "1.2", "pinned"),
        ("uvx mcp-server-time>=1.2", "pypi", "mcp-server-time", ">=1.2", "floating"),
        ("uvx --from mcp-tools[all]==1.0 mcp-tool", "pypi", "mcp-tools", "1.0", "pinned"),
        ("uvx --python 3.12 tool@latest", "pypi", "tool", "latest", "floating"),
        ("uv tool run tool@1.0", "pypi", "tool", "1.0", "pinned"),
        ("pipx run tool", "pypi", "tool", "", "floating"),
        (
            "uvx --from git+https://git.example.org/me/tool tool",
            "git",
            "git.example.org/me/tool",
            "",
            "floating",
        ),
        (
            f"uvx git+https://git.example.org/me/tool@{SHA}",
            "git",
            "git.example.org/me/tool",
            SHA[:12],
            "pinned",
        ),
        ("uvx --from git+https://git.example.org/k8Jq2LmZ9xWv4RtY7bNc/x x", "git", "", "", "floating"),
        ("uv run server.py", "file", "", "", "local"),
        ("docker run -i --rm mcp/slack", "oci", "mcp/slack", "", "floating"),
        ("docker run -i --rm -e TOKEN mcp/slack:latest", "oci", "mcp/slack", "latest", "floating"),
        ("docker run -e A=b ghcr.io/me/server:1.2.3 serve", "oci", "ghcr.io/me/server", "1.2.3", "tagged"),
        (f"podman run --rm mcp/slack@{DIGEST}", "oci", "mcp/slack", DIGEST[:19], "pinned"),
        ("docker run localhost:5000/x", "oci", "localhost:5000/x", "", "floating"),
        ("docker run --unknown word mcp/slack", "oci", "", "", "unknown"),
        ("docker exec -i box server", "unknown", "", "", "unknown"),
        ("npx --unknown word pkg", "npm", "", "", "unknown"),
        ("sh -c word", "unknown", "", "", "unknown"),
        ("python -m server --token word", "file", "", "", "local"),
        ("/opt/bin/server", "file", "", "", "local"),
        ("ostiary proxy -p p.json --server x -- npx pkg@1.2.3", "npm", "pkg", "1.2.3", "pinned"),
        ("ostiary run python", "file", "", "", "local"),
    ],
)
def test_a_command_is_told_by_its_package_and_version(
    command: str, source: str, package: str, version: str, pin: str
) -> None:
    program, *words = command.split()
    one = row({"command": program, "args": words})

    assert (one.source, one.package, one.version, one.pin) == (source, package, version, pin)


def test_a_server_that_is_an_address_is_told_by_its_host_alone() -> None:
    one = row({"url": "https://me:s3cret@tools.example.org:8443/mcp/s3cret?key=s3cret#s3cret"})

    assert (one.source, one.host, one.starts, one.pin) == (
        "remote", "tools.example.org:8443", "tools.example.org:8443", "remote",
    )  # fmt: skip
    assert one.secrets == ("url",)
    assert "s3cret" not in repr(one)


@pytest.mark.parametrize("url", ["https://${HOST}/mcp", "nonsense", "https://[", "https://a:b/"])
def test_an_address_without_a_host_that_can_be_shown_has_none(url: str) -> None:
    assert host_of(url) == ""


def test_a_gate_is_seen_through_and_a_door_beside_it_is_named() -> None:
    gate = ["proxy", "-p", "p.json", "--", "npx", "pkg@1.2.3"]
    remote = ["proxy", "--upstream", "https://tools.example.org/mcp", "--header-env", "X: Y"]
    rows = stack(
        found(
            {
                "open": {"command": "npx", "args": ["pkg@1.2.3"]},
                "gated": {"command": "/opt/ostiary", "args": gate},
                "web": {"url": "https://tools.example.org/mcp/"},
                "gated-web": {"command": "/opt/ostiary", "args": remote},
            }
        )
    )

    assert [one.gated for one in rows] == [False, True, False, True]
    assert [one.beside_a_gate for one in rows] == [True, False, True, False]
    assert [len(one.same_as) for one in rows] == [1, 1, 1, 1]
    assert rows[3].host == "tools.example.org"


def test_two_gates_before_one_server_are_no_door() -> None:
    gate = {"command": "ostiary", "args": ["proxy", "--", "npx", "pkg"]}

    rows = stack(found({"one": gate, "two": gate}))

    assert [(one.gated, one.beside_a_gate, len(one.same_as)) for one in rows] == [(True, False, 1)] * 2


def test_one_name_for_two_servers_and_one_server_twice_are_told(tmp_path: Path) -> None:
    for path, command in ((".cursor/mcp.json", "one"), (".gemini/settings.json", "two")):
        (tmp_path / path).parent.mkdir()
        servers = {"db": {"command": command}, f"same-{command}": {"command": "three"}}
        (tmp_path / path).write_text(json.dumps({"mcpServers": servers}))

    rows = stack(configured(tmp_path, tmp_path / "none", {}, platform="linux"))

    assert [(one.name, one.client, len(one.same_name), len(one.same_as)) for one in rows] == [
        ("db", "cursor", 1, 0), ("same-one", "cursor", 0, 1),
        ("db", "gemini", 1, 0), ("same-two", "gemini", 0, 1),
    ]  # fmt: skip
    assert rows[0].same_name == (f"{tmp_path}/.gemini/settings.json:1",)


def test_secrets_are_named_by_their_place() -> None:
    one = row(
        {
            "command": "docker",
            "args": [
                "run",
                "-e",
                "API_KEY=s3cret",
                "--token",
                "s3cret",
                "--pass=s3cret",
                "mcp/slack",
                "plain",
            ],
            "env": {
                "GITHUB_TOKEN": "s3cret",
                "MODE": "fast",
                "OTHER_KEY": "${OTHER}",
                "DEF_KEY": "${K:-s3cret}",
            },
        }
    )

    assert one.secrets == ("env.GITHUB_TOKEN", "env.DEF_KEY", "args[2]", "args[4]", "args[5]")
    assert one.placeholders == ("K", "OTHER")


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("API_KEY", "word", True), ("githubToken", "word", True), ("X-Api-Key", "word", True),
        ("Authorization", "Bearer word", True), ("DB_PASSWORD", "word", True), ("APIKEY", "word", True),
        ("Authorization", "Bearer ${TOKEN}", False), ("API_KEY", "$TOKEN", False), ("API_KEY", "", False),
        ("KEYBOARD", "de", False), ("MODE", "fast", False), ("MONKEY", "x", False),
        ("PATH", "/usr/bin", False),
        ("NOTE", "github_pat_11AAAAAAA", True), ("NOTE", "npm_abcdefgh", True), ("NOTE", "sk-abc", True),
        ("NOTE", "eyJhbGciOiJIUzI1NiJ9.e30.x", True), ("NOTE", "postgres://me:pw@db/x", True),
        ("NOTE", "k8Jq2LmZ9xWv4RtY7bNc", True), ("NOTE", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", True),
        ("NOTE", "/home/me/projects/server-2026/main.py", False), ("NOTE", f"mcp/slack@{DIGEST}", False),
    ],
)  # fmt: skip
def test_a_secret_is_told_by_its_name_or_its_look(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) is secret


def test_names_of_secrets_are_whole_words() -> None:
    assert not any(names_secret(name) for name in ("TURKEY", "compass", "author", "pattern", "tokenize"))


SECRET = "hunter2-correct-horse"
PLACES = [
    {"command": "npx", "args": ["-y", "pkg", SECRET]},
    {"command": "npx", "args": ["--token", SECRET, "pkg"]},
    {"command": "npx", "args": [f"--token={SECRET}", "pkg"]},
    {"command": "npx", "args": ["--registry", SECRET, "pkg"]},
    {"command": "npx", "args": ["-y", f"git+https://{SECRET}@git.example.org/me/x"]},
    {"command": "npx", "args": ["-y", f"https://git.example.org/x.tgz?token={SECRET}"]},
    {"command": "uvx", "args": ["--secret", SECRET, "pkg"]},
    {"command": "uvx", "args": ["--index-url", f"https://me:{SECRET}@pypi.example.org", "pkg"]},
    {"command": "docker", "args": ["run", "-e", f"KEY={SECRET}", "mcp/slack"]},
    {"command": "docker", "args": ["run", "--hidden", SECRET, "mcp/slack"]},
    {"command": "docker", "args": ["login", "-p", SECRET]},
    {"command": "sh", "args": ["-c", f"KEY={SECRET} server"]},
    {"command": "env", "args": [f"KEY={SECRET}", "npx", "pkg"]},
    {"command": "cmd", "args": ["/c", "npx", "--key", SECRET]},
    {"command": "python", "args": ["-m", "server", SECRET]},
    {"command": "deno", "args": ["run", f"https://{SECRET}.example.org/x.ts"]},
    {"command": "ostiary", "args": ["proxy", "--", "npx", "--key", SECRET, "pkg"]},
    {"command": "ostiary", "args": ["proxy", "--upstream", f"https://x.example.org/{SECRET}?k={SECRET}"]},
    {"command": "server", "env": {"A": SECRET, "KEY": f"${{K:-{SECRET}}}"}, "cwd": f"/{SECRET}"},
    {"url": f"https://me:{SECRET}@x.example.org/{SECRET}?{SECRET}={SECRET}#{SECRET}"},
    {"url": "https://x.example.org/mcp", "headers": {"Authorization": SECRET, "X": f"a {SECRET}"}},
]


@given(st.lists(st.sampled_from(PLACES), min_size=1, max_size=6))
def test_no_row_holds_what_stands_where_secrets_stand(places: list[dict[str, Any]]) -> None:
    rows = stack(found({f"s{at}": each for at, each in enumerate(places)}))

    assert len(rows) == len(places)
    assert SECRET not in msgspec.json.encode(rows).decode()


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6))
def test_any_command_is_told_in_bounded_words(command: list[str]) -> None:
    for words in (command, ["npx", *command], ["uvx", *command], ["docker", "run", *command]):
        assert len(launch(words).text) < 400


def test_a_secret_behind_a_dollar_or_in_the_word_of_the_program_is_not_shown(tmp_path: Path) -> None:
    servers = {
        "a": {
            "command": "server --token s3cret",
            "env": {"PASSWORD": "pa$s3cret", "X": "$KEY", "Y": "${Z:-1}"},
        },
        "b": {"command": "/opt/server --token=/s3cret", "env": {"PASSWORD": "$s3cret!"}},
    }
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor/mcp.json").write_text(json.dumps({"mcpServers": servers}))

    first, second = stack(configured(tmp_path, tmp_path / "work", {}))

    assert "s3cret" not in repr((first, second))
    assert (first.starts, second.starts) == ("server", "server")
    assert first.placeholders == ("KEY", "Z")
