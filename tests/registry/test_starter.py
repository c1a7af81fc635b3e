"""The first policy for a server loads, denies every tool, and holds every text of the server in a comment."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.cli.scan_tools import policy_text
from ostiary.policy.compile import compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.policy.definition import ToolDefinition
from ostiary.policy.load import load_text
from ostiary.registry.fingerprint import definition
from ostiary.registry.starter import MAX_BYTES, starter_json, starter_yaml, usable
from ostiary.scan.introspect import Introspection, ServerInfo
from ostiary.wire.strict import Refused, parse_json

Json = Any

FULL = {
    "name": "run",
    "description": "Runs things.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Where it is."},
            "url": {"type": "string", "maxLength": 9},
            "mode": {"type": "string", "enum": ["a", "b"]},
            "count": {"type": "integer", "maximum": 12},
            "force": {"type": "boolean"},
            "items": {"type": "array"},
            "a.b": {"type": "string"},
            "other": {},
        },
        "required": ["path"],
    },
}


def made(*tools: Json) -> list[ToolDefinition]:
    return [definition(one["name"], msgspec.json.encode(one), one) for one in tools]


def loaded(text: str) -> Any:
    document, diagnostics = load_text(text.encode(), file="p")
    assert [one.message for one in diagnostics if one.severity == "error"] == []
    assert document is not None
    assert document.single is not None
    return compile_policy(document.single)


def effect(policy: Any, tool: str, **arguments: Json) -> str:
    return decide(policy, Question(tool=tool, arguments=arguments, grant="local", server="local")).effect


@pytest.mark.parametrize("write", [starter_yaml, starter_json])
def test_every_tool_is_there_and_denied(write: Any) -> None:
    policy = loaded(write("s", made(FULL, {"name": "other"})))

    assert set(policy.policy.tools) == {"run", "other"}
    assert {effect(policy, name) for name in ("run", "other", "unheard of")} == {"deny"}


def test_the_yaml_says_what_the_tool_takes() -> None:
    text = starter_yaml("s 1.0", made(FULL))

    assert "# A first policy for s 1.0: 1 tools" in text
    assert "  # Runs things.\n" in text
    assert "#   `path`: string, required. Where it is.\n" in text
    assert "#   `count`: integer, maximum 12\n" in text
    assert '#   `mode`: string, one of ["a", "b"]\n' in text


def test_the_suggestions_are_rules_once_their_marks_are_removed() -> None:
    """A tool is allowed by removing two lines, and limited by removing marks."""
    text = starter_yaml("s", made(FULL))
    allowed = re.sub(r"^    (action|reason): .*\n", "", text, flags=re.MULTILINE)
    policy = loaded(re.sub(r"^    # ", "    ", allowed, flags=re.MULTILINE))

    assert effect(policy, "run", path="/srv/data/x") == "allow"
    assert (
        effect(policy, "run", path="/srv/data/x", url="https://example.org/", mode="b", count=12) == "allow"
    )
    assert effect(policy, "run", path="/etc/passwd") == "deny"
    for wrong in (
        {"url": "https://evil.example"},
        {"mode": "c"},
        {"count": 13},
        {"force": True},
        {"a.b": "x" * 1001},
    ):
        assert effect(policy, "run", path="/srv/data/x", **wrong) == "deny"
    assert [limit.max for limit in policy.policy.tools["run"].limits] == [60]


def test_the_json_has_the_same_in_comments() -> None:
    document = json.loads(starter_json("s", made(FULL)))

    comment = document["tools"]["run"].pop("$comment")
    assert document["tools"]["run"] == {"action": "deny", "reason": "nobody has allowed this tool yet"}
    assert "Runs things." in comment
    suggested = json.loads(comment[-1].removeprefix("to begin with: "))
    assert loaded(json.dumps({"version": "1", "default": "deny", "tools": {"run": suggested}}))


HOSTILE = [
    "first\nsecond: {}\nthird",
    "\r\n  evil: {}\r\n",
    "\u2028  evil: {}",
    "\u0085  evil: {}",
    "\x1b[2J\x07\x00",
    "\u202egnirts\u202c",
    "# \t- *x &y !z | > ' \" % @ ` {}[]",
    "x" * 100_000,
    "a\ud7ff\U0001f600\U000e0041",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_of_a_server_leaves_its_comment(text: str) -> None:
    schema = {
        "properties": {text[:300]: {"type": text, "description": text, "enum": [text], "pattern": text}}
    }
    tools = made({"name": "run", "description": text, "title": text, "inputSchema": schema})

    for write, text_of in ((starter_yaml, str), (starter_json, str)):
        written = text_of(write(text[:50], tools))
        policy = loaded(written)
        assert set(policy.policy.tools) == {"run"}
        assert effect(policy, "run") == "deny"
        assert all(line.isprintable() for line in written.split("\n"))
        assert len(written) < 20_000


NAMES = [
    "*",
    "",
    " a",
    "a*",
    "x\ny",
    "Echo",
    "\u202e",
    "y" * 2_000,
    "true",
    "1",
    "null",
    '"',
    "a: b",
    "é",
    "#x",
]


def test_names_that_a_policy_cannot_hold_are_left_out_and_denied() -> None:
    tools = made({"name": "echo"}, *({"name": name} for name in NAMES))

    _, left = usable(tools)
    assert left == ["*", "", " a", "a*", "x\ny", "Echo", "\u202e", "y" * 2_000]
    for write in (starter_yaml, starter_json):
        policy = loaded(write("s", tools))
        assert set(policy.policy.tools) == {"echo", "true", "1", "null", '"', "a: b", "é", "#x"}
        assert {effect(policy, tool.name) for tool in tools} == {"deny"}


def test_a_list_that_is_too_long_for_its_comments_still_fits() -> None:
    """P1.7: a policy has at most 1 MiB and 10,000 rules."""
    tools = made(*({**FULL, "name": f"t{i}", "description": "x" * 500} for i in range(6_000)))

    for write in (starter_yaml, starter_json):
        text = write("s", tools)
        assert len(text.encode()) <= MAX_BYTES
        policy = loaded(text)
        assert {effect(policy, f"t{i}") for i in (0, 4_999, 5_999)} == {"deny"}


words = st.text(st.characters(codec="utf-8"), max_size=30)


@given(
    tools=st.lists(
        st.fixed_dictionaries(
            {"name": words},
            optional={
                "description": words,
                "inputSchema": st.fixed_dictionaries(
                    {"properties": st.dictionaries(words, st.fixed_dictionaries(
                        {"type": st.sampled_from(["string", "integer", "boolean", "array", "x"]) | words},
                        optional={
                            "description": words, "enum": st.lists(words, max_size=3),
                            "maximum": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
                        },
                    ), max_size=3), "required": st.lists(words, max_size=2)}
                ),
            },
        ),
        max_size=4,
    ),
    name=words,
)  # fmt: skip
def test_whatever_a_server_says_the_policy_loads_and_denies(tools: list[Json], name: str) -> None:
    """The text is parsed as it would come over the wire; the suggestions hold once they are in force."""
    found: list[ToolDefinition] = []
    for one in tools:
        raw = msgspec.json.encode(one)
        try:
            value: Any = parse_json(raw)
        except Refused:
            continue
        found.append(definition(value["name"], raw, value))
    about = Introspection(ServerInfo(name), "legacy", "2025-11-25", tuple(found))

    policy_text(about, as_json=True)
    text = policy_text(about, as_json=False)
    assert all(line.isprintable() for line in text.split("\n"))
    loaded(re.sub(r"^    # ", "    ", text, flags=re.MULTILINE))
