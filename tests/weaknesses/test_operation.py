"""Policies that enforce nothing, reloads that go deaf, logs that tell too much or too little."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from ostiary.policy.load import load_text
from ostiary.proxy.reload import Watch
from ostiary.store.state import find_state
from ostiary.store.verify import verify
from tests.weaknesses.world import (
    ALLOW_ALL,
    call,
    compiled,
    deny_but,
    http,
    request,
    result,
    until,
    within,
    world,
)

SECRET = "hunter2hunter2hunter2"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("version: '1'\ndefualt: deny\ntools: {a: {rules: [{action: deny}]}}\n", "default"),
        ("version: '1'\ndefault: deny\nhidden: [a]\ntools: {a: {rules: [{action: deny}]}}\n", "hide"),
        ("version: '1'\ndefault: deny\ntools: {a: {rules: [{action: deny}], rule: []}}\n", "rules"),
        ('{"version":"1","default":"deny","tool":{}}', "tools"),
        ('{"version":"1","default":"deny","tools":{"a":{"limit":[]}}}', "limits"),
    ],
)
def test_a_misspelt_key_is_an_error_that_names_the_near_match(text: str, meant: str) -> None:
    """W44 (P1.7): a policy with a typo is not valid and not in force."""
    document, found = load_text(text.encode(), file="p.yaml", unsafe_monitor=False)
    errors = [one.render() for one in found if one.severity == "error"]
    assert document is None or errors
    assert any(meant in one for one in errors)


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


def replace(file: Path, text: str) -> None:
    other = file.with_suffix(".new")
    other.write_text(text)
    other.rename(file)


def swap_link(file: Path, text: str) -> None:
    target = file.with_name(f"version-{len(text)}.json")
    target.write_text(text)
    link = file.with_suffix(".link")
    link.symlink_to(target)
    link.rename(file)


@pytest.mark.parametrize("change", [rewrite, replace, swap_link])
def test_a_changed_file_is_noticed_however_it_was_replaced_and_after_a_bad_one(tmp_path, change: Any) -> None:
    """W45 (P8.2): rename, symlink swap and rewrite; an invalid one keeps the old one in force."""
    file = tmp_path / "p.json"
    file.write_text(json.dumps(deny_but("echo")))

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s", tools=["echo", "other"]) as gate:
            watch = Watch(asyncio.get_running_loop(), file, file.read_bytes(), gate.reloader(file))
            try:
                before = gate.desk.policy
                change(file, '{"version": "1", "defualt": "allow"}')
                while not [one for one in await gate.records() if one.method == "policy-rejected"]:
                    await asyncio.sleep(0.02)
                assert gate.desk.policy is before
                assert (await gate.call("other")).denied
                change(file, json.dumps(deny_but("other")))
                await until(lambda: gate.desk.policy is not before)
                assert not (await gate.call("other", 2)).denied
                assert (await gate.call("echo", 3)).denied
            finally:
                watch.close()

    within(main)


def test_a_call_is_judged_by_one_policy_even_if_it_changes_meanwhile(tmp_path) -> None:
    """W46: policy and charges of a call come from the same revision, which its records name."""
    answer = asyncio.Event()
    first, second = deny_but("echo"), deny_but("other")

    async def main() -> None:
        async def late(seen):
            await answer.wait()
            return http(result(seen.message, {"tools": gate.upstream.tools}))

        async with world(first, tmp_path / "s", tools=["echo", "other"]) as gate:
            gate.upstream.script["own listing"] = late
            asking = asyncio.ensure_future(gate.call("echo"))
            await until(lambda: gate.upstream.listings)
            gate.reload(second)
            answer.set()
            assert not (await asking).denied
            assert (await gate.call("echo", 2)).denied
            revisions = [one.revision for one in await gate.records() if one.kind in ("intent", "denial")]
            assert sorted(revisions) == sorted([compiled(first).revision, compiled(second).revision])

    within(main)


def test_no_secret_reaches_the_journal_the_log_or_an_answer_of_the_gate(tmp_path, caplog) -> None:
    """W47, W48: values of arguments, tokens and session ids are nowhere to be read."""
    caplog.set_level(logging.DEBUG)
    limits = [{"counter": "c", "window": "minute", "max": 5, "scope": "args.password"}]
    guard = [{"conditions": [{"path": "args.password", "op": "eq", "value": "x"}]}]
    policy = {"version": "1", "default": "deny", "tools": {"login": {"limits": limits, "deny_if": guard}}}

    async def main() -> None:
        async with world(policy, tmp_path / "s", tools=["login"]) as gate:
            gate.upstream.script["initialize"] = lambda seen: http(
                result(seen.message, {}), b"application/json", 200, b"mcp-session-id: " + SECRET.encode()
            )
            session = [(b"mcp-session-id", await gate.session())]
            ours: list[bytes] = []
            gate.upstream.script["tools/call"] = lambda seen: http(b"{")
            uri = f"https://user:{SECRET}@example.org/?q={SECRET}#{SECRET}"
            for message in (
                call("login", {"password": SECRET}),
                call("login", {"password": [SECRET]}),
                call("login", {"password": {"a": SECRET}}),
                call("login", {"Password": SECRET}),
                call("other", {"password": SECRET}),
                b'{"a":"%b","a":1}' % SECRET.encode(),
                request("resources/read", {"uri": uri}),
            ):
                reply = await gate.post(message, *session)
                ours.append(reply.body)
            await gate.post(call("login", {"password": SECRET}), (b"mcp-session-id", SECRET.encode() + b".x"))
            await gate.records()
            assert not [body for body in ours if SECRET.encode() in body]
        stored = b"".join(one.read_bytes() for one in (tmp_path / "s").rglob("*") if one.is_file())
        assert SECRET.encode() not in stored
        assert b"ost_aaaa" not in stored
        assert SECRET not in caplog.text

    within(main)


def test_a_limit_denial_is_on_record_with_rule_grant_revision_and_a_digest_that_cannot_be_guessed(
    tmp_path,
) -> None:
    """W48: who, what, by which rule of which policy; the digest of arguments is keyed."""
    policy = {
        "version": "1",
        "default": "deny",
        "tools": {"a": {"limits": [{"counter": "c", "window": "day", "max": 1}]}},
    }

    async def main() -> None:
        digests = []
        for state in ("s", "t"):
            async with world(policy, tmp_path / state, tools=["a"]) as gate:
                for n in (1, 2):
                    await gate.post(call("a", {"pin": "1234"}, n), grant="alice")
                rows = await gate.records()
                denial = next(one for one in rows if one.kind == "denial")
                outcome = next(one for one in rows if one.kind == "outcome")
                assert denial.rules == ("/tools/a/limits/0",)
                assert (denial.grant, denial.principal) == ("alice", "grant:alice")
                assert denial.revision == compiled(policy).revision
                assert (outcome.status, outcome.http_status) == ("ok", 200)
                digests.append(denial.args_digest)
        assert digests[0] != digests[1]

    within(main)


def test_a_changed_row_of_the_journal_is_found(tmp_path) -> None:
    """W48: records are chained."""
    import sqlite3

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            await gate.call("echo")
            await gate.records()

    within(main)
    state = find_state(tmp_path / "s")
    assert verify(state).ok
    connection = sqlite3.connect(state.database)
    table = connection.execute(
        "SELECT name FROM sqlite_master WHERE sql LIKE '%wseq%' AND type = 'table'"
    ).fetchone()[0]
    connection.execute(f"UPDATE {table} SET body = replace(body, 'echo', 'ecco')")
    connection.commit()
    connection.close()
    assert not verify(state).ok


def test_the_state_folder_is_for_its_owner_only(tmp_path) -> None:
    """W47: nothing in it is readable by others."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            await gate.call("echo")
            await gate.records()
            for path in [tmp_path / "s", *(tmp_path / "s").rglob("*")]:
                if path.is_dir() or path.name in ("audit", "session") or path.parent.name == "keys":
                    assert path.stat().st_mode & 0o077 == 0, path

    within(main)
