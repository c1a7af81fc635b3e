"""Configurations with comments and odd formatting, made at random: texts that mean a given value."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[..., Any]

GAPS = st.sampled_from(["", " ", "\n", "\t\r\n", "/**/", "// x\n", '/* { " */', "\n\n      "])
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["${TOKEN}", "a b", 'qu"ote\\', "\u2028", "\x7f", "//no", "# no"]
)
NAMES = st.sampled_from(["files", "web", "a b", "x.y", "é", "__x", '"', "command"])
SCALARS = st.none() | st.booleans() | st.integers(-9, 9**9) | TEXTS
PAIRS = st.dictionaries(st.sampled_from(["X-Key", "Authorization", "X_Team"]), TEXTS.filter(str.isprintable))
ENV = st.dictionaries(st.sampled_from(["KEY", "OSTIARY_HEADER_X_KEY", "PATH"]), TEXTS)


@st.composite
def entries(draw: Draw, *, url_key: str = "url", headers: str = "headers") -> dict[str, object]:
    """One server: a command or an address, with keys that nobody knows, in any order."""
    if draw(st.booleans()):
        fields: dict[str, object] = {"command": draw(TEXTS.filter(lambda text: text.strip("\0")))}
        fields |= draw(st.fixed_dictionaries({}, optional={"args": st.lists(TEXTS, max_size=3), "env": ENV}))
    else:
        fields = {url_key: "https://tools.example.org/mcp"}
        fields |= draw(st.fixed_dictionaries({}, optional={headers: PAIRS}))
    fields |= draw(
        st.fixed_dictionaries(
            {}, optional={"timeout": st.integers(1, 9), "x": TEXTS, "disabled": st.just(True)}
        )
    )
    keys = draw(st.permutations(list(fields)))
    return {key: fields[key] for key in keys}


def spelled(value: object, draw: Draw) -> str:
    """A text of JSON with comments, odd gaps and trailing commas that means `value`."""

    def gap() -> str:
        return draw(GAPS)

    if isinstance(value, dict):
        items = [
            f"{gap()}{spelled(key, draw)}{gap()}:{gap()}{spelled(each, draw)}{gap()}"
            for key, each in value.items()
        ]
    elif isinstance(value, list):
        items = [f"{gap()}{spelled(each, draw)}{gap()}" for each in value]
    else:
        return json.dumps(value, ensure_ascii=bool(draw(st.booleans())))
    inside = ",".join(items) + ("," + gap() if items and draw(st.booleans()) else gap())
    return f"{{{inside}}}" if isinstance(value, dict) else f"[{inside}]"


def toml_text(value: str, draw: Draw) -> str:
    """A text in one of the four spellings of TOML."""
    literal = value.isprintable() and "'" not in value
    kind = draw(st.sampled_from(["basic", "literal", "basic3", "literal3"] if literal else ["basic"]))
    basic = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return {
        "basic": basic,
        "literal": f"'{value}'",
        "basic3": f'""{basic}""',
        "literal3": f"'''{value}'''",
    }[kind]


def toml_value(value: object, draw: Draw, *, lines: bool = True) -> str:
    """A value of TOML; over several lines where that is allowed."""
    if isinstance(value, str):
        return toml_text(value, draw)
    if isinstance(value, dict):
        pairs = [
            f"{toml_key(key, draw)} = {toml_value(each, draw, lines=False)}" for key, each in value.items()
        ]
        return "{" + " , ".join(pairs) + "}"
    if isinstance(value, list):
        gap = draw(st.sampled_from(["", " ", "\n  # a ] comment\n" if lines else " "]))
        end = "," if value and draw(st.booleans()) else ""
        return (
            "["
            + gap
            + f",{gap}".join(toml_value(each, draw, lines=lines) for each in value)
            + end
            + gap
            + "]"
        )
    return json.dumps(value)


def toml_key(key: str, draw: Draw) -> str:
    bare = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return (
        key
        if bare and draw(st.booleans())
        else json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")
    )


def toml_document(servers: dict[str, dict[str, object]], draw: Draw) -> str:
    """A configuration of Codex with these servers, each in some spelling."""
    parts = [
        'model = "m" # first\n',
        draw(st.sampled_from(["", "[other]\nnote = '''\n[mcp_servers.files]\n'''\n"])),
    ]
    for name, fields in servers.items():
        path = f"mcp_servers . {toml_key(name, draw)}"
        lines: list[str] = [f"  [ {path} ] # {len(parts)}"]
        below: list[str] = []
        indent = draw(st.sampled_from(["", "  ", "\t"]))
        for key, value in fields.items():
            if isinstance(value, dict) and value and draw(st.booleans()):
                below += [f"[{path}.{key}]  # below"]
                below += [f"{toml_key(each, draw)}={toml_value(text, draw)}" for each, text in value.items()]
                below += ["", "# a remark behind"]
                continue
            comment = draw(st.sampled_from(["", " # why", "\n# alone"]))
            lines.append(f"{indent}{toml_key(key, draw)} = {toml_value(value, draw)}{comment}")
        parts.append("\n".join([*lines, *below]) + draw(st.sampled_from(["\n", "\n\n"])))
    text = "".join(parts)
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text.rstrip("\n")
