"""The files in which clients name their servers are read as the clients do, or refused with a place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.errors import CallerFault
from ostiary.scan.clients import configured, jsonc, read_config
from ostiary.scan.clients.config import entries, parse
from ostiary.scan.clients.fetch import MAX_BYTES
from ostiary.scan.clients.spans import ConfigFault
from ostiary.scan.scanned import Target
from tests.scan.clients import odd

CLAUDE = """{
  "mcpServers": {
    "files": {"type": "stdio", "command": "npx", "args": ["-y", "server-files"], "env": {"KEY": "${KEY:-x}"}},
    "web": {"type": "http", "url": "https://tools.example.org/mcp", "headers": {"Authorization": "Bearer s"}}
  },
  "projects": {
    "/home/me/work": {"mcpServers": {"local": {"command": "./server"}}, "history": [{"display": "\\ud83d"}]}
  }
}
"""
VS_CODE = """{
  // one of each
  "inputs": [{"type": "promptString", "id": "token", "password": true}],
  "servers": {
    "files": {"type": "stdio", "command": "uvx", "args": ["mcp-server-files",],
      "envFile": "${workspaceFolder}/.env"},
    /* reached over HTTP */
    "web": {"type": "http", "url": "https://tools.example.org/mcp", "headers": {"X-Key": "${input:token}"},},
  },
}
"""
CODEX = """
model = "large"

[mcp_servers.files]
command = "npx"
args = ["-y", "server-files"]  # no version

[mcp_servers.files.env]
KEY = 'value'

[mcp_servers."remote one"]
url = "https://tools.example.org/mcp"
bearer_token_env_var = "TOKEN"
http_headers = { "X-Team" = "platform" }
env_http_headers = { X-Key = "OTHER" }

[mcp_servers.off]
command = "server"
enabled = false
"""
GEMINI = """{
  "mcp": {"excluded": ["third"]},
  "mcpServers": {
    "first": {"command": "python", "args": ["-m", "server"], "cwd": "./server", "env": {"KEY": "$TOKEN"}},
    "second": {"httpUrl": "https://tools.example.org/mcp", "headers": {"X-Team": "platform"}},
    "third": {"url": "https://tools.example.org/sse"}
  }
}
"""
ZED = """{
  "theme": "One",
  "context_servers": {
    "new": {"source": "custom", "command": "server", "args": ["a"], "env": {"KEY": "v"}, "enabled": true},
    "old": {"command": {"path": "server", "args": ["b"], "env": {"KEY": "v"}}, "settings": {}},
    "from-an-extension": {"source": "extension", "settings": {"token": "s"}},
    "remote": {"url": "https://tools.example.org/mcp"},
  }
}
"""
WINDSURF = """{"mcpServers": {
  "on": {"serverUrl": "https://tools.example.org/mcp", "headers": {"Authorization": "Bearer ${env:TOKEN}"}},
  "off": {"command": "server", "disabled": true}
}}"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_claude_code_has_servers_for_everywhere_and_for_one_project(tmp_path: Path) -> None:
    path = written(tmp_path, ".claude.json", CLAUDE)

    files, web, local = read_config(path)

    assert files == Target(
        name="files", source=str(path), client="claude-code", command=("npx", "-y", "server-files"),
        environment={"KEY": "${KEY:-x}"},
    )  # fmt: skip
    assert (web.transport, web.url) == ("http", "https://tools.example.org/mcp")
    assert web.headers == (("Authorization", "Bearer s"),)
    assert local.command == ("./server",)
    known, _ = entries(parse(CLAUDE.encode(), path))
    assert [one.folder for one in known] == ["", "", "/home/me/work"]
    assert [one.placeholders for one in known] == [("KEY",), (), ()]


@pytest.mark.parametrize(
    "name", [".mcp.json", ".vscode/mcp.json", ".cursor/mcp.json", ".gemini/settings.json", "servers.json"]
)
def test_a_server_is_not_passed_over_for_a_word_that_its_client_does_not_go_by(
    name: str, tmp_path: Path
) -> None:
    key = "servers" if "vscode" in name else "mcpServers"
    text = json.dumps({key: {"x": {"command": "a", "disabled": True, "enabled": False}}})

    assert [one.name for one in read_config(written(tmp_path, name, text))] == ["x"]


def test_vs_code_has_comments_trailing_commas_and_inputs(tmp_path: Path) -> None:
    path = written(tmp_path, ".vscode/mcp.json", VS_CODE)

    files, web = read_config(path)

    assert (files.client, files.command) == ("vs-code", ("uvx", "mcp-server-files"))
    assert (web.transport, web.headers) == ("auto", (("X-Key", "${input:token}"),))
    known, _ = entries(parse(VS_CODE.encode(), path))
    assert [one.env_file for one in known] == ["${workspaceFolder}/.env", ""]
    assert known[1].placeholders == ("input:token",)
    assert [(one.line, one.column) for one in known] == [(5, 5), (8, 5)]


def test_codex_has_tables_and_names_variables_for_headers(tmp_path: Path) -> None:
    path = written(tmp_path, ".codex/config.toml", CODEX)

    files, remote = read_config(path)

    assert (files.client, files.command) == ("codex", ("npx", "-y", "server-files"))
    assert files.environment == {"KEY": "value"}
    assert (remote.name, remote.transport) == ("remote one", "http")
    assert dict(remote.headers) == {
        "X-Team": "platform", "X-Key": "${OTHER}", "Authorization": "Bearer ${TOKEN}",
    }  # fmt: skip
    known, _ = entries(parse(CODEX.encode(), path))
    assert [(one.line, one.column, one.enabled) for one in known] == [
        (4, 1, True), (11, 1, True), (17, 1, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        '[mcp_servers]\nx = { command = "server", args = ["a"], env = { KEY = "v" } }\n',
        '[mcp_servers]\nx.command = "server"\nx.args = ["a"]\nx.env.KEY = "v"\n',
        'mcp_servers.x.command = "server"\nmcp_servers.x.args=[\n"a",#1\n]\nmcp_servers.x.env = {KEY="v"}\n',
        'mcp_servers = { x = { command = \'server\', args = ["""a"""], env.KEY = "v" } }\n',
    ],
)
def test_every_spelling_of_a_toml_table_is_read_and_its_keys_are_found(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, "config.toml", text)

    [target] = read_config(path)
    [slot] = parse(text.encode(), path).slots

    assert (target.command, target.environment) == (("server", "a"), {"KEY": "v"})
    for member in slot.members:
        assert text[member.name : member.end].startswith(member.key) or not member.whole
    assert {member.key for member in slot.members} == {"command", "args", "env"}


def test_gemini_leaves_out_what_its_settings_exclude(tmp_path: Path) -> None:
    first, second = read_config(written(tmp_path, ".gemini/settings.json", GEMINI))

    assert (first.cwd, first.environment) == ("./server", {"KEY": "$TOKEN"})
    assert (second.transport, second.url) == ("http", "https://tools.example.org/mcp")

    only = GEMINI.replace('"excluded": ["third"]', '"allowed": ["first"]')
    assert [target.name for target in read_config(written(tmp_path, ".gemini/settings.json", only))] == [
        "first"
    ]


def test_zed_has_an_older_form_and_servers_of_extensions_that_no_file_tells(tmp_path: Path) -> None:
    path = written(tmp_path, "zed/settings.json", ZED)

    new, old, remote = read_config(path)

    assert new.command == ("server", "a")
    assert (old.command, old.environment) == (("server", "b"), {"KEY": "v"})
    assert (remote.transport, remote.client) == ("auto", "zed")
    known, _ = entries(parse(ZED.encode(), path))
    assert [one.kind for one in known] == ["command", "command", "extension", "url"]


def test_what_is_switched_off_is_no_target(tmp_path: Path) -> None:
    [on] = read_config(written(tmp_path, ".codeium/windsurf/mcp_config.json", WINDSURF))

    assert (on.name, on.client) == ("on", "windsurf")


def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_bytes(b"\xef\xbb\xbf" + VS_CODE.replace("\n", "\r\n").encode())

    assert [target.name for target in read_config(path)] == ["files", "web"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", '{"mcpServers": {"x": {"command": 1}}}', ":1:34: expected a text at `command`"),
        ("a.json", '{"mcpServers": {"x": {"command": "a", "args": "b"}}}', ":1:47: expected a list of texts"),
        ("a.json", '{"mcpServers": {"x": {"command": "a", "args": [1]}}}', ":1:47: expected a list of texts"),
        ("a.json", '{"mcpServers": {"x": {"command": "a", "env": [1]}}}', "an object of texts at `env`"),
        ("a.json", '{"mcpServers": {"x": {"command": ""}}}', "a program at `command`, which is empty"),
        ("a.json", '{"mcpServers": {"x": {}}}', "expected `command` or one of `url`"),
        ("a.json", '{"mcpServers": {"x": []}}', "expected an object for the server `x`"),
        ("a.json", '{"mcpServers": []}', ":1:16: expected an object of servers"),
        ("a.json", '{"mcpServers": {"x": {"command": "a", "url": "b"}}}', "not both"),
        ("a.json", '{"mcpServers": {"x": {"url": "a", "httpUrl": "b"}}}', "not both `url` and `httpUrl`"),
        ("a.json", '{"mcpServers": {"x": {"url": "a", "type": "telnet"}}}', "expected stdio, http or sse"),
        ("a.json", '{"mcpServers": {"x": {"url": "a", "type": "stdio"}}}', "http or sse at `type` beside"),
        ("a.json", '{"mcpServers": {"x": {"command": "a", "type": "sse"}}}', "stdio at `type` beside"),
        ("a.json", '{"mcpServers": {"x": {"command": "a", "disabled": 1}}}', "true or false at"),
        ("a.json", '{"mcpServers": {\n  "x": {"command": "a" "args": []}}}', ":2:24: expected `,` or `}`"),
        ("a.json", '{"mcpServers": {"x": {"command": "a"}, "x": {"command": "b"}}}', "`x` stands twice"),
        ("a.json", '{"mcpServers": /* no end', "expected `*/`"),
        ("a.json", "{'a': 1}", ":1:2: expected a key in double quotes"),
        ("a.json", '{"a": 01}', "found a word"),
        ("a.json", '{"a": "b\n"}', "expected a text that ends on its line"),
        ("a.json", "[]", ":1:1: expected an object with the servers"),
        ("a.json", "{}", "names no server"),
        ("a.json", "", "names no server"),
        ("a.json", "[" * 200, "nested more than 100 levels deep"),
        ("a.toml", 'a = 1\n[mcp_servers.x]\ncommand = "a', ":3:13: expected TOML"),
        ("a.toml", "[mcp_servers.x]\r\ncommand = \r\n", ":2:11: expected TOML"),
        ("a.toml", "[mcp_servers.x]\ncommand = 1979-05-27 07:32:00\n", ":2:11: expected a text at `command`"),
        ("a.toml", "a = " + "[" * 5000, "expected TOML"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_its_place(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, name, text)

    with pytest.raises(CallerFault) as caught:
        read_config(path)

    assert said in caught.value.message
    assert str(path) in caught.value.message


def test_a_message_and_a_shown_target_hold_no_value_of_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.json", '{"mcpServers": {"x": {"command": "a", "env": {"K": {"v": "s3cret"}}}}}'
    )

    with pytest.raises(CallerFault) as caught:
        read_config(path)

    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"
    document = parse(CLAUDE.encode(), tmp_path / ".claude.json")
    assert "Bearer s" not in repr(document)
    assert "Bearer s" not in repr(entries(document))


def test_a_pipe_a_folder_a_device_and_a_huge_file_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "device.json").symlink_to("/dev/zero")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(MAX_BYTES + 1)

    said: list[str] = []
    for name in ("pipe", "folder", "device", "loop", "huge", "missing"):
        with pytest.raises(CallerFault) as caught:
            read_config(tmp_path / f"{name}.json")
        said.append(caught.value.message)

    assert ["regular" in text for text in said] == [True, True, True, False, False, False]
    assert "symbolic links" in said[3]
    assert "larger than" in said[4]
    assert "there is no file" in said[5]


def test_all_that_is_configured_is_found_and_a_broken_file_stops_no_other(tmp_path: Path) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    written(home, ".claude.json", CLAUDE)
    written(home, ".codex/config.toml", CODEX)
    written(home, ".cursor/mcp.json", '{"mcpServers": {"a": {"command": 1}, "b": {"command": "b"}}}')
    written(home, ".config/zed/settings.json", ZED)
    written(home, ".config/Code/User/settings.json", '{"editor.tabSize": 2, /* none */}')
    written(home, ".codeium/windsurf/mcp_config.json", "{broken")
    written(project, ".vscode/mcp.json", VS_CODE)
    written(project, ".gemini/settings.json", GEMINI)

    found = configured(home, project, {}, platform="linux")

    assert [(target.client, target.name) for target in found.targets] == [
        ("claude-code", "files"), ("claude-code", "web"), ("claude-code", "local"), ("cursor", "b"),
        ("codex", "files"), ("codex", "remote one"), ("zed", "new"), ("zed", "old"), ("zed", "remote"),
        ("vs-code", "files"), ("vs-code", "web"), ("gemini", "first"), ("gemini", "second"),
    ]  # fmt: skip
    assert len(found.troubles) == 2
    assert "mcp.json:1:34: expected a text at `command`" in found.troubles[0]
    assert "mcp_config.json:1:2: expected a key in double quotes" in found.troubles[1]


def test_a_file_that_somebody_else_may_write_is_not_taken_for_a_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, ".mcp.json", '{"mcpServers": {"a": {"command": "a"}}}')
    path.chmod(0o666)

    found = configured(tmp_path / "home", tmp_path, {}, platform="linux")

    assert found.targets == ()
    assert "can be written by every user" in found.troubles[0]
    assert len(read_config(path)) == 1  # who names a file has chosen it


@pytest.mark.parametrize(
    ("platform", "environ", "path"),
    [
        ("linux", {}, ".config/Claude/claude_desktop_config.json"),
        ("linux", {"XDG_CONFIG_HOME": "/HOME/conf"}, "conf/zed/settings.json"),
        ("linux", {"CODEX_HOME": "/HOME/cx"}, "cx/config.toml"),
        ("linux", {"CLAUDE_CONFIG_DIR": "/HOME/cc"}, "cc/.claude.json"),
        ("darwin", {}, "Library/Application Support/Claude/claude_desktop_config.json"),
        ("darwin", {}, "Library/Application Support/Code/User/mcp.json"),
        ("darwin", {}, ".config/zed/settings.json"),
        ("win32", {"APPDATA": "/HOME/roaming"}, "roaming/Claude/claude_desktop_config.json"),
        ("win32", {"APPDATA": "/HOME/roaming"}, "roaming/Zed/settings.json"),
    ],
)
def test_each_system_has_its_own_places(
    platform: str, environ: dict[str, str], path: str, tmp_path: Path
) -> None:
    text = {
        ".toml": '[mcp_servers.x]\ncommand = "a"\n',
    }.get(Path(path).suffix) or json.dumps(
        {key: {"x": {"command": "a"}} for key in ("mcpServers", "servers", "context_servers")}
    )
    written(tmp_path, path, text)
    environ = {key: value.replace("/HOME", str(tmp_path)) for key, value in environ.items()}

    found = configured(tmp_path, tmp_path / "project", environ, platform=platform)

    assert {target.source for target in found.targets} == {str(tmp_path / path)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.data())
def test_json_with_comments_means_what_it_means_without(data: st.DataObject) -> None:
    value = data.draw(JSON)
    draw = data.draw

    text = f"{draw(odd.GAPS)}{odd.spelled(value, draw)}{draw(odd.GAPS)}"
    node = jsonc.read(text)

    assert jsonc.plain(node, text) == value


@given(st.text(alphabet='{}[]",:/* \n\\ua1e-.tn', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        node = jsonc.read(text)
    except ConfigFault:
        return
    assert text[node.start : node.end].strip() == text[node.start : node.end]
