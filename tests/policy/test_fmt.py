"""`ostiary policy fmt`: one style, the same meaning, every comment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from ostiary.errors import GatewayFault
from ostiary.policy.convert.convert import converted
from ostiary.policy.diagnostic import PolicyError
from ostiary.policy.layout import rewrite
from ostiary.policy.layout.rewrite import rewritten
from ostiary.policy.load import document as load
from ostiary.policy.load import load_text
from tests.docs.markdown import ROOT
from tests.policy.documents import DOCUMENTS, ostiary


def _fmt(text: str, file: str = "p.yaml") -> str:
    return rewritten(text.encode(), file=file).decode()


def _revisions(text: str, file: str) -> list[str]:
    found = load(text.encode(), file=file, unsafe_monitor=True)
    policies = (
        [found.single]
        if found.single is not None
        else [found.servers[name] for name in sorted(found.servers)]
    )
    return [policy.revision for policy in policies]


def _assert_kept(text: str, file: str) -> str:
    """Format twice; the meaning is the same, the second time nothing changes."""
    once = _fmt(text, file)
    assert _revisions(once, file) == _revisions(text, file)
    assert _fmt(once, file) == once
    return once


@given(DOCUMENTS, st.sampled_from(["p.json", "p.yaml"]), st.sampled_from([None, 1, 7]))
def test_every_document_keeps_its_meaning_and_is_formatted_once_and_for_all(
    written: dict[str, Any], file: str, indent: int | None
):
    text = json.dumps(written, ensure_ascii=indent is None, indent=indent)
    assume(load_text(text.encode(), file=file)[0] is not None)

    _assert_kept(text, file)


@st.composite
def _commented(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A YAML document in flow or block style with comments in any place where YAML allows one."""
    written = draw(ostiary())
    raw = json.dumps(written, indent=draw(st.sampled_from([1, 3]))).encode()
    assume(load_text(raw, file="p.yaml")[0] is not None)
    if draw(st.booleans()):
        raw = converted(raw, file="p.json", to="yaml").text
    lines: list[str] = []
    comments: list[str] = []
    for line in raw.decode().split("\n"):
        kind = draw(st.sampled_from(["none", "none", "above", "beside", "blank", "both"]))
        if kind in {"above", "both"}:
            comments.append(f"# {len(comments)} : - {{x}} \"y'")
            lines.append(" " * draw(st.integers(0, 12)) + comments[-1])
        if kind in {"blank", "both"}:
            lines += [""] * draw(st.integers(1, 3))
        if kind == "beside" and line.strip():
            comments.append(f"#{len(comments)}")
            line = f"{line} {comments[-1]}"  # noqa: PLW2901 - the line as it is written
        lines.append(line)
    return "\n".join(lines), comments


@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate], max_examples=50)  # shrinking takes minutes
@given(_commented())
def test_no_comment_is_lost_wherever_it_stands(drawn: tuple[str, list[str]]):
    text, comments = drawn
    assume(load_text(text.encode(), file="p.yaml")[0] is not None)

    once = _assert_kept(text, "p.yaml")

    for comment in comments:
        assert len(re.findall(rf"(?m)(?:^|\s){re.escape(comment)}$", once)) == 1


UNTIDY = """\
# Who may what.

# the version

version:   '1'   # always
tools:
    # the first tool
    read:   # by name
        deny_if:
        - on_deny: >-
            not outside
            of the folder

          conditions:
            - {value: '^/etc/', op: "regex",   # what
               path: args.path}
            # nothing else so far
        limits: [ {max: 1.0, counter: calls, window: minute} ]
    # the last tool


    "write": {}
hide: [ a,
  b ]   # both
default: deny
# the end
"""

TIDY = """\
# Who may what.

# the version

version: "1"  # always
default: deny
hide: [a, b]  # both
tools:
  # the first tool
  read:  # by name
    deny_if:
      - conditions:
          - path: args.path
            op: regex  # what
            value: ^/etc/
          # nothing else so far
        on_deny: >-
          not outside
          of the folder
    limits:
      - {counter: calls, window: minute, max: 1.0}
  # the last tool

  write: {}
# the end
"""


def test_comments_stay_with_what_they_speak_about() -> None:
    tidy = TIDY.replace("value: ^/etc/", 'value: "^/etc/"')

    assert _fmt(UNTIDY) == tidy
    assert _fmt(tidy) == tidy


def test_windows_line_ends_become_plain_ones() -> None:
    assert _fmt(UNTIDY.replace("\n", "\r\n")) == _fmt(UNTIDY)


@pytest.mark.parametrize(
    ("written", "kept"),
    [("0x1F", "0x1F"), ("1.50", "1.50"), ("1e3", "1e3"), ("+7", "+7"), ("100000000000000000", None)],
)
def test_numbers_keep_their_text(written: str, kept: str | None) -> None:
    """P3.4: `1.50` is what the author wrote, and how they count."""
    test = f"{{path: args.n, op: gt, value: {written}}}"
    text = f'version: "1"\ndefault: deny\ntools: {{x: {{deny_if: [{{conditions: [{test}]}}]}}}}\n'

    if kept is None:
        with pytest.raises(PolicyError):
            _fmt(text)
    else:
        assert f"value: {kept}}}" in _fmt(text)


@pytest.mark.parametrize(
    "text",
    ["yes", "No", "null", "~", "12", "1:30", "2001-01-01", "a: b", "a #b", "- a", "*a", "&a", "!t", "%x",
     "@x", "`x", "a,b", "[x", "{x", "'", '"', "\\d+", " a", "a ", "a\nb", "\u2028", "\u200b", "e\u0301",
     "😀", "x:", "?x", "<<", "=", "0o7", ".inf", "a\tb", "\x7f", "\ue000"],
)  # fmt: skip
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    """P1.7: also for a reader of YAML 1.1, which takes `yes` for true."""
    yaml = pytest.importorskip("yaml")
    rule = {"conditions": [{"path": "args.a", "op": "in", "value": [text, text + "x"]}], "on_deny": text}
    raw = json.dumps({"version": "1", "default": "deny", "tools": {"t": {"deny_if": [rule]}}})

    in_yaml = converted(raw.encode(), file="p.json", to="yaml").text

    assert yaml.safe_load(in_yaml) == json.loads(raw)
    assert json.loads(_fmt(raw, "p.json")) == json.loads(raw)
    assert _fmt(in_yaml.decode()) == in_yaml.decode()


def test_what_cannot_be_seen_is_escaped() -> None:
    text = json.dumps(
        {"version": "1", "default": "deny", "description": "a\u202eb\u200bc"}, ensure_ascii=False
    )

    for file in ("p.json", "p.yaml"):
        assert "a\\u202eb\\u200bc" in _fmt(text, file)


@pytest.mark.parametrize(
    "lines", ["|\n  a\n    b\n\n  c", "|-\n  a\n  b", ">\n  a\n   b\n  c", "|  # why\n  a\n  b"]
)
def test_blocks_of_text_stay_blocks(lines: str) -> None:
    text = f'version: "1"\ndefault: deny\ndescription: {lines}\n\nhide: []\n'

    assert f"description: {lines}\n" in _assert_kept(text, "p.yaml")


@pytest.mark.parametrize(
    "lines", ["|+\n  a\n\n\n", "|2\n    a\n", "|\n\n  a\n", "|\n  a\n     \n  b\n", ">\n  a\n  \t\n"]
)
def test_blocks_that_depend_on_their_place_become_quoted_text(lines: str) -> None:
    text = f'version: "1"\ndefault: deny\ndescription: {lines}hide: []\n'

    assert 'description: "' in _assert_kept(text, "p.yaml")


def test_every_format_is_put_in_the_order_of_its_own_keys() -> None:
    """P1.2, P1.3."""
    rules = "tools:\n  x:\n    rules:\n      - {%s}\n"
    intercept = _fmt('default: deny\nversion: "1"\n' + rules % "rate_limit: 5/hour, name: few")
    short = _fmt(rules % "reason: r, action: deny" + "default: deny\n")

    assert intercept == 'version: "1"\ndefault: deny\n' + (rules % "0").replace(
        "{0}", "name: few\n        rate_limit: 5/hour"
    )
    assert short == "default: deny\n" + (rules % "0").replace("{0}", "action: deny\n        reason: r")


def test_comments_in_lists_of_lists_are_kept() -> None:
    schema = "{enum: [[[1, # one\n 2] # two\n , 3] # three\n, # four\n 4]}"
    test = f"{{path: args.a, op: json_schema, value: {schema}}}"

    once = _assert_kept(
        f'version: "1"\ndefault: deny\ntools: {{x: {{deny_if: [{{conditions: [{test}]}}]}}}}\n', "p.yaml"
    )

    assert all(f"# {word}" in once for word in ("one", "two", "three", "four"))


def test_an_invalid_document_is_refused_with_its_diagnostics() -> None:
    with pytest.raises(PolicyError) as refused:
        _fmt("default: deny\nversion: 1\ntolls: {}\n")

    assert [each.code for each in refused.value.diagnostics] == ["unknown-key"]


@pytest.mark.parametrize("lost", ["# note\n", "deny"])
def test_a_writer_that_lost_something_would_be_caught(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of defence: what was written is read again and compared."""
    honest = rewrite._in_yaml
    monkeypatch.setattr(
        rewrite, "_in_yaml", lambda *given: honest(*given).replace(lost, "allow" if lost == "deny" else "")
    )

    with pytest.raises(GatewayFault, match="formatted text would"):
        _fmt('# note\nversion: "1"\ndefault: deny\n')


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.*")), ids=lambda path: path.name)
def test_the_examples_are_in_the_house_style(path: Path) -> None:
    assert rewritten(path.read_bytes(), file=path.name) == path.read_bytes()


def test_a_comment_beside_each_of_many_keys_takes_no_quadratic_time() -> None:
    """Hostile input: a comment and an empty line for every tool."""
    tools = "".join(f"  t{at}: {{}} # {at}\n\n  # {at}\n" for at in range(1_000))

    once = _fmt(f'version: "1"\ndefault: deny\ntools:\n{tools}')

    assert once.count("#") == 2_000
