"""A gate before each server of a configuration, and nothing else changed; and back again, byte for byte."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ostiary.cli.proxy import read_options
from ostiary.errors import GatewayFault
from ostiary.scan.clients import jsonc
from ostiary.scan.clients.config import Document, parse
from ostiary.scan.clients.edit import check
from ostiary.scan.clients.gated import Gate, is_gated
from ostiary.scan.clients.guarding import Undo, protect, unprotect
from tests.scan.clients import odd

GATE = Gate(("/opt/ostiary",), "/etc/policy.json", "/state")


def document(text: str | bytes, name: str, client: str = "") -> Document:
    return parse(text if isinstance(text, bytes) else text.encode(), Path(name), client)


def through(text: str | bytes, name: str, client: str = "") -> tuple[Document, tuple[Undo, ...], list[str]]:
    """The protected document, what undoes it, and the outcomes."""
    plan = protect(document(text, name, client), lambda _entry: GATE)
    return document(plan.raw, name, client), plan.undo, [step.outcome for step in plan.steps]


def stored(undo: tuple[Undo, ...]) -> tuple[Undo, ...]:
    """As it comes back from its file."""
    return msgspec.json.decode(msgspec.json.encode(undo), type=tuple[Undo, ...])


def options(args: list[str]) -> Any:
    """What a gate makes of its arguments."""
    assert args[0] == "proxy"
    return read_options(args[1:])


def values(found: Document) -> Any:
    if found.form == "toml":
        return tomllib.loads(found.text)
    return jsonc.plain(jsonc.read(found.text), found.text)


KINDS = [
    (".cursor/mcp.json", "mcpServers", "url"),
    (".vscode/mcp.json", "servers", "url"),
    (".gemini/settings.json", "mcpServers", "httpUrl"),
    (".codeium/windsurf/mcp_config.json", "mcpServers", "serverUrl"),
    ("zed/settings.json", "context_servers", "url"),
]


@settings(deadline=None)
@given(st.data(), st.sampled_from(KINDS))
def test_json_is_as_before_after_protect_and_unprotect(
    data: st.DataObject, kind: tuple[str, str, str]
) -> None:
    name, key, url_key = kind
    servers = data.draw(st.dictionaries(odd.NAMES, odd.entries(url_key=url_key), min_size=1, max_size=3))
    others = data.draw(st.dictionaries(st.sampled_from(["theme", "inputs", "z"]), odd.SCALARS))
    value = {"first": [1.50, {}], key: servers, **others}
    text = data.draw(st.sampled_from(["", "\ufeff"])) + odd.spelled(value, data.draw)

    after, undo, outcomes = through(text, name)
    back = unprotect(after, stored(undo))

    assert back.raw == text.encode()
    assert {step.outcome for step in back.steps} <= {"restored"}
    assert back.undo == ()
    check_protected(value, values(after), key, outcomes)


@settings(deadline=None)
@given(st.data())
def test_toml_is_as_before_after_protect_and_unprotect(data: st.DataObject) -> None:
    entries = odd.entries(headers="http_headers")
    servers = data.draw(st.dictionaries(odd.NAMES, entries, min_size=1, max_size=3))
    text = odd.toml_document(servers, data.draw)
    before = tomllib.loads(text)
    assume(before["mcp_servers"] == servers)

    after, undo, outcomes = through(text, "config.toml")
    back = unprotect(after, stored(undo))

    assert back.raw == text.encode()
    assert {step.outcome for step in back.steps} <= {"restored"}
    check_protected(before, values(after), "mcp_servers", outcomes)


def check_protected(before: Any, after: Any, key: str, outcomes: list[str]) -> None:
    """Every server goes through a gate that says what it said, and every other value is the same."""
    assert {**before, key: None} == {**after, key: None}
    assert set(outcomes) <= {"protected", "left"}
    ours = {"command", "args", "env", "type", "url", "httpUrl", "serverUrl", "headers", "http_headers"}
    for (name, old), outcome in zip(before[key].items(), outcomes, strict=True):
        new = after[key][name]
        if outcome == "left":
            assert new == old
            continue
        assert is_gated([new["command"], *new["args"]])
        assert {k: v for k, v in new.items() if k not in ours} == {
            k: v for k, v in old.items() if k not in ours
        }
        if "command" in old:
            separator = new["args"].index("--")
            assert new["args"][separator + 1 :] == [old["command"], *old.get("args", [])]
            assert new.get("env") == old.get("env")
        else:
            assert not {"url", "httpUrl", "serverUrl", "headers", "http_headers"} & set(new)
            headers = old.get("headers") or old.get("http_headers") or {}
            assert sorted(new.get("env", {}).values()) == sorted(headers.values())
            for each in headers.values():
                assert len(each) < 4 or each not in str(new["args"])


def test_a_gate_is_protected_no_second_time() -> None:
    text = json.dumps({"mcpServers": {"a": {"command": "a"}}})

    once, _, _ = through(text, "a.json")
    twice, undo, outcomes = through(once.raw, "a.json")

    assert (twice.raw, undo, outcomes) == (once.raw, (), ["already"])


def test_headers_are_read_from_the_environment_of_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"type": "sse", "url": "https://t.example.org/sse", "headers": {"Authorization": "Bearer s3cret"}}

    after, _, _ = through(json.dumps({"servers": {"web": entry}}), ".vscode/mcp.json")
    new = values(after)["servers"]["web"]
    for name, value in new["env"].items():
        monkeypatch.setenv(name, value)
    read = options(new["args"])

    assert "s3cret" not in json.dumps(new["args"])
    assert new["type"] == "stdio"
    assert (read.upstream, read.upstream_transport) == ("https://t.example.org/sse", "sse")
    assert read.headers == ((b"authorization", b"Bearer s3cret"),)
    assert (read.server, str(read.policy), read.state_dir) == ("web", "/etc/policy.json", "/state")


def test_variables_that_codex_takes_headers_from_are_passed_on_to_the_gate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = """[mcp_servers.web]
url = "https://t.example.org/mcp" # where
bearer_token_env_var = "TOKEN"
env_http_headers = { X-Key = "OTHER" }
startup_timeout_sec = 20
"""

    after, undo, _ = through(text, "config.toml")
    new = values(after)["mcp_servers"]["web"]
    monkeypatch.setenv("TOKEN", "one")
    monkeypatch.setenv("OTHER", "two")

    assert sorted(new["env_vars"]) == ["OTHER", "TOKEN"]
    assert dict(options(new["args"]).headers) == {b"x-key": b"two", b"authorization": b"Bearer one"}
    assert set(new) == {"command", "args", "env_vars", "startup_timeout_sec"}
    assert "# where" in after.text
    assert unprotect(after, undo).raw == text.encode()


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"url": "https://t.example.org/mcp?api_key=s3cret"}, "its address holds a secret"),
        ({"url": "https://me:s3cret@t.example.org/mcp"}, "its address holds a secret"),
        ({"url": "unix:///run/s3cret.sock"}, "neither http:// nor https://"),
        ({"url": "https://t.example.org", "oauth": {"clientId": "s3cret"}}, "signs in by `oauth`"),
        ({"url": "https://t.example.org", "headers": {"Mcp-Session-Id": "s3cret"}}, "set by the gate itself"),
        ({"url": "https://t.example.org/${TEAM_TOKEN}/mcp", "x": "s3cret"}, "puts a secret into its address"),
        ({"url": "https://t.example.org/mcp?q=${input:apiKey}"}, "puts a secret into its address"),
        ({"command": "a", "env": {"PYTHONPATH": "/s3cret"}}, "`PYTHONPATH` would decide which code"),
        ({"command": "a", "env": {"LD_PRELOAD": "/s3cret"}}, "`LD_PRELOAD` would decide which code"),
        ({"command": 3, "x": "s3cret"}, "a.json:1:"),
    ],
)
def test_what_a_gate_cannot_stand_in_for_is_left_and_it_is_said_why(entry: dict[str, Any], why: str) -> None:
    text = json.dumps({"mcpServers": {"a": entry, "b": {"command": "b"}}})

    plan = protect(document(text, "a.json"), lambda _entry: GATE)

    left, protected = plan.steps
    assert (left.outcome, protected.outcome) == ("left", "protected")
    assert why in left.reason
    assert "s3cret" not in left.reason
    assert json.loads(plan.raw)["mcpServers"]["a"] == entry


def test_the_older_form_of_zed_keeps_its_command_in_an_object() -> None:
    text = '{"context_servers": {"a": {"command": {"path": "srv", "env": {"K": "v"}}, "settings": {}}}}'

    after, undo, _ = through(text, "zed/settings.json")

    command = values(after)["context_servers"]["a"]["command"]
    assert (command["path"], command["args"][-2:], command["env"]) == (
        "/opt/ostiary",
        ["--", "srv"],
        {"K": "v"},
    )
    assert unprotect(after, undo).raw == text.encode()


def test_a_file_that_its_client_wrote_anew_is_restored_by_value() -> None:
    text = (
        '{ // mine\n"mcpServers": {"a": {"url": "https://t.example.org", "headers": {"X-Key": "v"}, "x": 1}}}'
    )
    after, undo, _ = through(text, "a.json")

    anew = json.dumps(values(after), indent=2)
    plan = unprotect(document(anew, "a.json"), stored(undo))

    assert [step.outcome for step in plan.steps] == ["equal"]
    assert json.loads(plan.raw) == {
        "mcpServers": {"a": {"url": "https://t.example.org", "headers": {"X-Key": "v"}, "x": 1}}
    }


def test_what_was_edited_since_is_named_and_other_edits_are_kept() -> None:
    after, undo, _ = through('{"mcpServers": {"a": {"command": "a", "args": ["1"]}}}', "a.json")
    value = values(after)
    value["mcpServers"]["a"]["args"].append("s3cret")
    value["mcpServers"]["a"]["timeout"] = 5

    plan = unprotect(document(json.dumps(value), "a.json"), undo)

    assert json.loads(plan.raw) == {"mcpServers": {"a": {"command": "a", "args": ["1"], "timeout": 5}}}
    assert plan.steps[0].outcome == "differs"
    assert plan.steps[0].reason == "`args` had been edited since, and is again what it was before"


def test_an_entry_that_no_longer_starts_a_gate_or_is_gone_is_not_touched() -> None:
    _, undo, _ = through('{"mcpServers": {"a": {"command": "a"}, "b": {"command": "b"}}}', "a.json")
    text = '{"mcpServers": {"a": {"command": "other"}}}'

    plan = unprotect(document(text, "a.json"), undo)

    assert plan.raw == text.encode()
    assert [(step.name, step.outcome) for step in plan.steps] == [("a", "left"), ("b", "differs")]


def test_a_stretch_that_stands_in_the_entry_twice_is_not_taken_for_the_one_that_was_written() -> None:
    text = '{"mcpServers": {"a": {"note": 1, "command": "a", "args": ["a"]}}}'
    after, undo, _ = through(text, "a.json")
    anew = after.text.replace('"note": 1', '"note": {"command": ' + undo[0].new + "}")

    plan = unprotect(document(anew, "a.json"), undo)

    assert plan.steps[0].outcome == "equal"
    assert json.loads(plan.raw)["mcpServers"]["a"] == {
        **values(document(anew, "a.json"))["mcpServers"]["a"], "command": "a", "args": ["a"],
    }  # fmt: skip


def test_only_the_servers_that_are_named_are_changed() -> None:
    text = '{"mcpServers": {"a": {"command": "a"}, "b": {"command": "b"}}}'

    plan = protect(document(text, "a.json"), lambda _entry: GATE, only=["b"])

    assert [step.name for step in plan.steps] == ["b"]
    assert json.loads(plan.raw)["mcpServers"]["a"] == {"command": "a"}


@pytest.mark.parametrize(
    ("command", "gated"),
    [
        (["ostiary", "proxy", "--", "x"], True),
        (["/opt/bin/ostiary", "run", "python"], True),
        (["python3.12", "-m", "ostiary", "proxy"], True),
        (["uvx", "ostiary", "proxy"], True),
        (["pipx", "run", "ostiary", "proxy"], True),
        (["uv", "tool", "run", "ostiary", "proxy"], True),
        (["wsl.exe", "--exec", "/home/me/.venv/bin/ostiary", "proxy"], True),
        (["C:\\tools\\ostiary.exe", "proxy"], True),
        (["ostiary", "status"], False),
        (["npx", "ostiary", "proxy"], False),
        (["evil", "ostiary", "proxy"], False),
        (["sh", "-c", "ostiary proxy"], False),
        (["ostiary"], False),
        ([], False),
    ],
)
def test_a_gate_is_told_by_its_command(command: list[str], gated: bool) -> None:
    assert is_gated(command) is gated


def test_servers_of_two_projects_share_no_counters() -> None:
    project = {"mcpServers": {"db": {"command": "a"}, "my db": {"command": "b"}}}

    after, _, _ = through(json.dumps({"projects": {"/one": project, "/two": project}}), ".claude.json")

    found: Any = [slot.fields["args"] for slot in after.slots]
    labels = [options(args).server for args in found]
    assert len(set(labels)) == 4


def test_what_is_kept_and_planned_is_not_shown() -> None:
    text = json.dumps({"mcpServers": {"a": {"url": "https://t.example.org", "headers": {"X-Key": "s3cret"}}}})

    plan = protect(document(text, "a.json"), lambda _entry: GATE)

    assert "s3cret" in plan.undo[0].old
    assert "s3cret" not in repr(plan) + repr(plan.undo)


@pytest.mark.parametrize(
    "other",
    [
        '{"x": 2, "mcpServers": {"a": {"command": "b"}}}',
        '{"x": 1, "mcpServers": {"a": {"command": "c"}}}',
        '{"x": 1, "mcpServers": {"a": {"command": "b", "args": []}}}',
        '{"x": 1, "mcpServers": {"a": {"command": "b"}, "z": {"command": "z"}}}',
        '{"x": 1, "mcpServers": {"a": {"command": "b"',
    ],
)
def test_a_text_in_which_anything_else_has_changed_is_never_written(other: str) -> None:
    before = document('{"x": 1, "mcpServers": {"a": {"command": "a"}}}', "a.json")
    changed = {("mcpServers", "a"): {"command": "b"}}

    check(before, before.raw.replace(b'"a"}', b'"b"}'), changed)
    with pytest.raises(GatewayFault, match="nothing was written"):
        check(before, other.encode(), changed)
