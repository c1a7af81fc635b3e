"""The hook in Claude Code's settings: it comes and goes, and nothing else moves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.scan.clients import jsonc
from ostiary.scan.clients.spans import ConfigFault
from ostiary.scan.hook_settings import (
    BLOCK,
    EVENT,
    MATCHER,
    Receipt,
    command_line,
    install,
    installed,
    ours,
    remove,
)

COMMAND = command_line(("/opt/py/bin/python", "-EP", "-m", "ostiary"), "/home/a b/state")


def value(text: str | None) -> Any:
    assert text is not None
    return jsonc.plain(jsonc.read(text), text)


def test_the_settings_are_as_claude_code_documents_them() -> None:
    edited = install(None, COMMAND)
    hook = {"type": "command", "command": COMMAND, "timeout": 30}

    assert json.loads(edited.text or "") == {"hooks": {EVENT: [{"matcher": MATCHER, "hooks": [hook]}]}}
    assert COMMAND == "/opt/py/bin/python -EP -m ostiary hook run --state-dir '/home/a b/state' || exit 2"


def test_a_second_time_nothing_changes() -> None:
    once = install('{"a": 1}', COMMAND)
    twice = install(once.text, COMMAND)

    assert (twice.changed, twice.text) == (False, once.text)


def test_only_the_path_is_changed_where_another_installation_put_the_hook_in() -> None:
    old = install('{"a": 1}', command_line(("/old/python", "-EP", "-m", "ostiary"), "/s"))
    new = install(old.text, COMMAND)

    assert new.changed
    assert installed(new.text) == (COMMAND,)
    assert value(new.text) == json.loads((old.text or "").replace(installed(old.text)[0], COMMAND))


@pytest.mark.parametrize(
    "command",
    [
        "ostiary hook run",
        "x ostiary hook run --state-dir /s",
        "other hook run --state-dir /s" + BLOCK,
        "echo ostiary hook run" + BLOCK,
        "echo 'unclosed" + BLOCK,
        BLOCK,
    ],
)
def test_the_hooks_of_others_are_not_taken_for_ours(command: str) -> None:
    assert not ours(command)
    text = json.dumps({"hooks": {EVENT: [{"hooks": [{"command": command}]}]}})
    assert remove(text, Receipt("")).text == text


EXAMPLES = [
    "{}",
    "{ }",
    "{\n}\n",
    '{"a": 1}',
    '{"a": 1, }',
    '{\n\t"a": 1\n}\n',
    '{\r\n  "a": 1\r\n}\r\n',
    '{"hooks": {}}',
    '{"hooks": { /* none yet */ }, "a": 1}',
    '{"hooks": {"PreToolUse": []}}',
    '{"hooks": {"PreToolUse": [ ]}, "b": 2}',
    '{"hooks": {"PostToolUse": [{"hooks": []}]}}',
    '// mine\n{\n    // first\n    "a": 1 // last\n}\n',
    '{"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "true"}]}]}}',
    '{"\\u00e4": "\\ud83d\\ude00"}',
    "",
    "  \n",
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_taking_it_out_gives_back_the_text_that_was_there(text: str) -> None:
    edited = install(text, COMMAND)

    assert installed(edited.text) == (COMMAND,)
    assert (remove(edited.text, edited.receipt).text or "") == text


def test_a_file_that_was_made_for_the_hook_goes_with_it() -> None:
    edited = install(None, COMMAND)

    assert remove(edited.text, edited.receipt).text is None


def test_what_came_later_stays_where_it_was_put() -> None:
    edited = install("{}", COMMAND)
    document = value(edited.text)
    document["hooks"][EVENT].append({"hooks": [{"type": "command", "command": "true"}]})
    document["b"] = 2
    left = remove(json.dumps(document, indent=4), edited.receipt)

    assert value(left.text) == {"hooks": {EVENT: [document["hooks"][EVENT][1]]}, "b": 2}


def test_a_group_that_someone_shares_with_the_hook_keeps_theirs() -> None:
    document = value(install("{}", COMMAND).text)
    document["hooks"][EVENT][0]["hooks"].insert(0, {"type": "command", "command": "true"})
    left = remove(json.dumps(document), Receipt("hooks"))

    assert value(left.text)["hooks"][EVENT] == [
        {"matcher": MATCHER, "hooks": [{"type": "command", "command": "true"}]}
    ]


def test_without_a_receipt_only_the_hook_itself_goes() -> None:
    assert value(remove(install("{}", COMMAND).text, Receipt("")).text) == {"hooks": {EVENT: []}}


@pytest.mark.parametrize(
    "text",
    [
        "[]", "3", "{", '{"hooks": []}', '{"hooks": {"PreToolUse": {}}}', '{"a": 1, "a": 2}',
        '{"hooks": {}, "hooks": {}}', "{} {}", "[" * 10_000,
    ],
)  # fmt: skip
def test_settings_that_are_laid_out_in_another_way_are_refused(text: str) -> None:
    with pytest.raises(ConfigFault):
        install(text, COMMAND)
    with pytest.raises(ConfigFault):
        remove(text, Receipt("hooks"))


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
GROUPS = st.lists(
    st.fixed_dictionaries(
        {
            "hooks": st.lists(
                st.fixed_dictionaries({"type": st.just("command"), "command": st.text(max_size=5)})
            )
        }
    ),
    max_size=3,
)
SETTINGS = st.builds(
    lambda others, hooks: {**others, **hooks},
    st.dictionaries(st.text(max_size=5).filter(lambda key: key != "hooks"), VALUES, max_size=3),
    st.one_of(
        st.just({}),
        st.fixed_dictionaries({"hooks": st.dictionaries(st.sampled_from([EVENT, "Stop"]), GROUPS)}),
    ),
)


@given(SETTINGS, st.sampled_from([None, 0, 1, 2, 4, "\t"]), st.booleans())
def test_whatever_the_settings_are_they_are_given_back_byte_for_byte(
    settings: dict[str, Any], indent: Any, ascii_only: bool
) -> None:
    text = json.dumps(settings, indent=indent, ensure_ascii=ascii_only) + "\n"
    edited = install(text, COMMAND)
    document = value(edited.text)
    document["hooks"][EVENT].pop()

    assert document == {**settings, "hooks": {EVENT: [], **settings.get("hooks", {})}}
    assert remove(edited.text, edited.receipt).text == text
