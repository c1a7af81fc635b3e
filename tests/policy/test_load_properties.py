"""What holds for every document, and for every sequence of bytes."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from ostiary.policy.formats.table import INTERCEPT, OPERATORS, SHORT, TABLES
from ostiary.policy.load import load_text
from ostiary.policy.model import Effect, Limit, Policy, Rule, Test, ToolRules, Value, Window
from ostiary.policy.operators import OPERATORS as DECIDED
from ostiary.policy.understanding import understood

FILES = st.sampled_from(["p.json", "p.yaml", "p.yml", "p"])
_BAD = Path(__file__).parent / "bad"

# Documents of format 1, each drawn together with the model it must become.

_NAMES = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, categories=["L", "N", "P", "S"]), min_size=1
)
_TOOLS = _NAMES.filter(lambda name: "*" not in name and name.isprintable())
_KEYS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="."), min_size=1, max_size=8
)
_PATHS = st.lists(_KEYS, min_size=1, max_size=4).map(tuple)
_INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SCALARS = st.one_of(_INTEGERS, _TEXTS, st.booleans())
_MESSAGES = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
_SAME_TYPE = st.one_of(
    *(st.lists(each, min_size=1, max_size=4) for each in (_INTEGERS, _TEXTS, st.booleans()))
)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("eq", "neq", "contains"), _SCALARS),
    **dict.fromkeys(("lt", "lte", "gt", "gte"), _INTEGERS),
    **dict.fromkeys(("in", "not_in"), _SAME_TYPE),
    "exists": st.booleans(),
    "regex": st.sampled_from(["^a+$", "rm", r"\d{3}", "(?i)x|y"]),
}


def _modelled(value: Any) -> Value:
    if isinstance(value, list):
        return tuple(_modelled(each) for each in value)
    return Decimal(value) if type(value) is int else value


@st.composite
def _tests(draw: st.DrawFn) -> tuple[dict[str, Any], Test]:
    path, op = draw(_PATHS), draw(st.sampled_from(sorted(_VALUES)))
    value = draw(_VALUES[op])
    written = {"path": ".".join(("args", *path)), "op": op, "value": value}
    return written, Test(path, op, _modelled(value))


@st.composite
def _rules(draw: st.DrawFn, kind: str) -> tuple[dict[str, Any], tuple[Any, ...], str | None]:
    tests = draw(st.lists(_tests(), min_size=1 if kind == "require" else 0, max_size=3))
    message = draw(_MESSAGES)
    written: dict[str, Any] = {"conditions": [each[0] for each in tests]}
    if message is not None:
        written["on_deny"] = message
    return written, tuple(each[1] for each in tests), message


@st.composite
def _limits(draw: st.DrawFn) -> tuple[dict[str, Any], Limit]:
    counter = draw(_NAMES.filter(lambda name: name.isprintable() and len(name) <= 256))
    window, seconds = draw(st.sampled_from([("minute", 60), ("hour", 3600), ("day", 86_400)]))
    most = draw(st.integers(0, 2**53 - 1))
    written = {"counter": counter, "window": window, "max": most, "scope": "grant"}
    return written, Limit("", counter, Window(seconds), most)


def _pointer(tool: str, *rest: object) -> str:
    return "/".join(("", "tools", tool.replace("~", "~0").replace("/", "~1"), *map(str, rest)))


@st.composite
def _tool(draw: st.DrawFn, name: str) -> tuple[dict[str, Any], ToolRules]:
    written: dict[str, Any] = {}
    rules: dict[str, tuple[Rule, ...]] = {}
    for kind in ("require", "deny_if"):
        drawn = draw(st.lists(_rules(kind), max_size=2))
        written[kind] = [each[0] for each in drawn]
        rules[kind] = tuple(Rule(_pointer(name, kind, at), each[1], each[2]) for at, each in enumerate(drawn))
    drawn_limits = draw(st.lists(_limits(), max_size=2, unique_by=lambda each: each[1].counter))
    written["limits"] = [each[0] for each in drawn_limits]
    limits = tuple(
        Limit(_pointer(name, "limits", at), each.counter, each.window, each.max)
        for at, (_, each) in enumerate(drawn_limits)
    )
    kept = {key: value for key, value in written.items() if value or draw(st.booleans())}
    return kept, ToolRules(require=rules["require"], deny_if=rules["deny_if"], limits=limits)


@st.composite
def _documents(draw: st.DrawFn) -> tuple[dict[str, Any], Policy]:
    names = draw(st.lists(_TOOLS, max_size=3, unique=True))
    tools = {name: draw(_tool(name)) for name in names}
    hide = draw(st.lists(_TOOLS.filter(lambda name: name not in names), max_size=2, unique=True))
    default: Effect = draw(st.sampled_from(("allow", "deny")))
    written = {
        "version": "1",
        "default": default,
        "hide": hide,
        "tools": {name: tools[name][0] for name in names},
    }
    model = Policy(1, default, hide=frozenset(hide), tools={name: tools[name][1] for name in names})
    return dict(draw(st.permutations(list(written.items())))), model


def _assert_means(text: str, file: str, model: Policy) -> str:
    found, diagnostics = load_text(text.encode(), file=file)
    assert found is not None, [each.render() for each in diagnostics]
    policy = found.single
    assert policy is not None
    assert (policy.format, policy.default, policy.hide, policy.hide_all) == (
        1,
        model.default,
        model.hide,
        False,
    )
    assert policy.tools == model.tools
    assert understood(found).count("\n") >= len(model.tools)
    return policy.revision


@given(_documents(), st.booleans(), st.sampled_from([None, 2]))
def test_every_format_1_document_means_what_it_says(
    drawn: tuple[dict[str, Any], Policy], ascii_only: bool, indent: int | None
):
    """P1.1: whatever the tool names, paths, operators, values and the spelling of the JSON."""
    written, model = drawn
    _assert_means(json.dumps(written, ensure_ascii=ascii_only, indent=indent), "p.json", model)


@given(_documents())
def test_the_same_document_in_yaml_means_the_same(drawn: tuple[dict[str, Any], Policy]):
    """P1.4: JSON or YAML; JSON text is YAML as well."""
    written, model = drawn
    in_json = json.dumps(written, ensure_ascii=True, indent=1)
    in_yaml = re.sub(r"(?:\\u[dD][89a-fA-F][0-9a-fA-F]{2}){2}", _joined, in_json)
    assert _assert_means(in_yaml, "p.yaml", model) == _assert_means(in_json, "p.json", model)


def _joined(pair: re.Match[str]) -> str:
    """YAML writes a character beyond U+FFFF as one escape, JSON as two."""
    character = json.loads('"' + pair.group() + '"')
    return f"\\U{ord(character):08x}"


@given(st.binary(max_size=200), FILES)
@example(b"\xff", "p.json")
@example(b'"\\ud800', "p.yaml")
def test_arbitrary_bytes_give_diagnostics_and_never_an_exception(raw: bytes, file: str):
    """Nothing but a policy or the reasons against it comes out, whatever goes in."""
    found, diagnostics = load_text(raw, file=file)
    assert (found is None) == any(each.severity == "error" for each in diagnostics)


_WORDS = st.sampled_from(
    sorted(
        {key for tables in (TABLES, INTERCEPT, SHORT) for table in tables.values() for key in table}
        | set(OPERATORS)
        | {
            "1",
            "*",
            "run",
            "args.a",
            "args.",
            "state.run.c",
            "state._global.c",
            "minute",
            "30s",
            "grant",
            "args.x",
        }
        | {
            "10/minute",
            "advertised",
            "sliding",
            "calendar",
            "on_error",
            "/srv",
            "10.0.0.0/8",
            "^1",
            "a",
            "_global",
            "require_approval",
            "user:a",
        }
    )
)
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 100), st.floats(allow_nan=False), _WORDS)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=4)),
    max_leaves=20,
)


@st.composite
def _likely(draw: st.DrawFn) -> dict[str, Any]:
    """Trees that look like documents, so that the readers of every format are reached."""
    tool = st.dictionaries(_WORDS, _TREES, max_size=4)
    rule = st.lists(st.dictionaries(_WORDS, _TREES, max_size=5), max_size=2)
    tools = draw(st.dictionaries(_WORDS, tool | st.fixed_dictionaries({"rules": rule}), max_size=3))
    rest = draw(st.dictionaries(_WORDS, _TREES, max_size=3))
    head = draw(st.sampled_from([{}, {"version": "1"}, {"version": "1", "default": "deny"}]))
    return {**rest, **head, "tools": tools}


@given(_likely() | _TREES, FILES)
def test_arbitrary_trees_of_known_words_never_raise(tree: Any, file: str):
    """Fail closed: no shape of known keys leads to an exception."""
    found, diagnostics = load_text(json.dumps(tree).encode(), file=file)
    assert (found is None) == any(each.severity == "error" for each in diagnostics)


@given(st.sampled_from(sorted(_BAD.iterdir())), st.data())
def test_damaged_documents_never_raise(path: Path, data: st.DataObject):
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, max(len(raw) - 1, 0))) : 0] = data.draw(
            st.sampled_from([b"{", b"]", b":", b"\n", b"- ", b"\x80", b"'"])
        )
    found, diagnostics = load_text(bytes(raw), file=path.name)
    assert (found is None) == any(each.severity == "error" for each in diagnostics)


def test_the_loader_and_the_decision_know_the_same_operators():
    """P3.7."""
    assert set(OPERATORS) == set(DECIDED)
