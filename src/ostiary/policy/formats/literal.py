"""The value of a condition: what each operator takes, normalised where two spellings mean the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from ostiary.arguments.address import read_network
from ostiary.arguments.fault import ArgumentError
from ostiary.arguments.path import segments
from ostiary.arguments.url import read_host
from ostiary.policy.formats.draft import Draft
from ostiary.policy.formats.shape import MAX_TEXT, kind
from ostiary.policy.formats.subschema import read_schema
from ostiary.policy.model import Value
from ostiary.policy.numbers import exact
from ostiary.policy.operand import OperandError
from ostiary.policy.operators import build_check
from ostiary.policy.patterns import PatternError, compile_glob, compile_regex
from ostiary.policy.semver import VersionError, compile_range
from ostiary.policy.source import ListNode, Node, Scalar, shown

_INTEGER = re.compile(r"[-+]?[0-9]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}")
_MAX_LENGTH = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Literal:
    """One value being read: where problems go, the operator's name, and P3.4's bounds."""

    draft: Draft
    op: str
    wide: bool

    def refuse(self, message: str, at: Node, hint: str | None = None) -> None:
        """Report that the operator does not take the value."""
        self.draft.error("bad-value", f"`{self.op}` takes {message}", at, hint)


def read_value(draft: Draft, op: str, node: Node, *, wide: bool) -> Value:
    """The value of a test by `op`; None after a problem was reported (null is never a value).

    What is read here is at last handed to the operator itself, which has the final word.
    """
    if isinstance(node, Scalar) and node.value is None:
        hint = "null counts as absent; use `exists`"
        draft.error("bad-value", f"`{op}` takes a value, found null", node, hint)
        return None
    literal = Literal(draft, op, wide)
    problems = len(draft.diagnostics)
    value = _READERS[op](literal, node)
    if len(draft.diagnostics) == problems:
        _ask_operator(literal, node, value)
    return value


def _ask_operator(literal: Literal, node: Node, value: Value) -> None:
    try:
        build_check(literal.op, value, wide=literal.wide)
    except OperandError as fault:
        literal.draft.error("bad-value", f"`{literal.op}` {fault}", node)


def _scalar(literal: Literal, node: Node) -> Value:
    if not isinstance(node, Scalar) or node.value is None:
        literal.refuse(f"text, a number, true or false, found {kind(node)}", node)
        return None
    return _number(literal, node) if node.is_number else _text_bound(literal, node)


def _text_bound(literal: Literal, node: Scalar) -> Value:
    if isinstance(node.value, str) and len(node.value) > MAX_TEXT:
        literal.refuse(f"at most {MAX_TEXT:,} characters", node)
        return None
    return node.value


def _number(literal: Literal, node: Node) -> Value:
    """P3.4: what the rule compares with must be a number that readers agree about."""
    if not isinstance(node, Scalar) or not isinstance(node.value, Decimal):
        hint = "leave the quotes out" if isinstance(node, Scalar) and _INTEGER.fullmatch(node.text) else None
        literal.refuse(f"a number, found {kind(node)}", node, hint)
        return None
    value = int(node.text) if _INTEGER.fullmatch(node.text) else node.value
    if exact(value, wide=literal.wide) is None:
        message = f"{shown(node.text)} is not a number that every reader holds exactly"
        hint = "integers reach +-(2^53-1); `wide_numbers: true` on the tool lifts this"
        literal.draft.error("wide-number", message, node, hint)
        return None
    return node.value


def _flag(literal: Literal, node: Node) -> Value:
    if not isinstance(node, Scalar) or not isinstance(node.value, bool):
        literal.refuse(f"true or false, found {kind(node)}", node)
        return None
    return node.value


def _text(literal: Literal, node: Node) -> str | None:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        literal.refuse(f"text, found {kind(node)}", node)
        return None
    if not 1 <= len(node.value) <= MAX_TEXT:
        literal.refuse(f"1 to {MAX_TEXT:,} characters", node)
        return None
    return node.value


def _length(literal: Literal, node: Node) -> Value:
    value = node.value if isinstance(node, Scalar) else None
    if not isinstance(value, Decimal) or not 0 <= value <= _MAX_LENGTH or value != value.to_integral_value():
        literal.refuse(f"a whole number from 0 on, found {kind(node)}", node)
        return None
    return value


def _same_type_list(literal: Literal, node: Node) -> Value:
    """P3.3: one type in one list, since an argument has one type that it may be compared with."""
    if not isinstance(node, ListNode) or not node.items:
        literal.refuse(f"a list that is not empty, found {_found(node)}", node)
        return None
    values: list[Value] = []
    for item in node.items:
        value = _scalar(literal, item)
        if value is not None and values and type(value) is not type(values[0]):
            literal.refuse("values of one type in one list", item)
        if value is not None:
            values.append(value)
    return tuple(values)


def _found(node: Node) -> str:
    return "an empty list" if isinstance(node, ListNode) else kind(node)


def _regex(literal: Literal, node: Node) -> Value:
    return _compiled(literal, node, compile_regex)


def _glob(literal: Literal, node: Node) -> Value:
    return _compiled(literal, node, compile_glob)


def _compiled(literal: Literal, node: Node, compiler: Callable[[str], object]) -> Value:
    text = _text(literal, node)
    if text is None or not literal.draft.pattern(text, node):
        return None
    try:
        compiler(text)
    except PatternError as fault:
        hint = "there is no look-around and no back reference" if literal.op == "regex" else None
        literal.draft.error("bad-pattern", f"{shown(text)}: {fault}", node, hint)
        return None
    return text


def _semver(literal: Literal, node: Node) -> Value:
    text = _text(literal, node)
    if text is None:
        return None
    try:
        compile_range(text)
    except VersionError as fault:
        hint = "such as `>=1.2.0 <2.0.0` or `^1.2`"
        literal.refuse(f"a version range, found {shown(text)}: {fault}", node, hint)
        return None
    return " || ".join(" ".join(part.split()) for part in text.split("||"))


def _several(literal: Literal, node: Node, read: Callable[[str], str], wanted: str) -> Value:
    """One text or a list of them, each through `read`; always a tuple in the normal form."""
    items = node.items if isinstance(node, ListNode) else (node,)
    if not items:
        literal.refuse(f"{wanted}, found an empty list", node)
    values: list[Value] = []
    for item in items:
        text = _text(literal, item)
        try:
            values.append(None if text is None else read(text))
        except ArgumentError as fault:
            literal.refuse(f"{wanted}, found {shown(text or '')}: {fault}", item)
    return tuple(values)


def _folders(literal: Literal, node: Node) -> Value:
    return _several(literal, node, _folder, "an absolute folder, or a list of them")


def _folder(text: str) -> str:
    if ".." in text.split("/"):
        raise ArgumentError("folder holds `..`")
    return "/" + "/".join(segments(text))


def _hosts(literal: Literal, node: Node) -> Value:
    return _several(literal, node, _host, "exact hosts or `*.example.org`")


def _host(text: str) -> str:
    if text.startswith("*."):
        name = read_host(text[2:])
        if ":" in name or name.replace(".", "").isdigit():
            raise ArgumentError("an address has no names below it")
        return f"*.{name}"
    return read_host(text)


def _schemes(literal: Literal, node: Node) -> Value:
    return _several(literal, node, _scheme, "schemes such as `https`")


def _scheme(text: str) -> str:
    scheme = text.lower()
    if not _SCHEME.fullmatch(scheme):
        raise ArgumentError("is not a scheme")
    return scheme


def _networks(literal: Literal, node: Node) -> Value:
    return _several(literal, node, lambda text: str(read_network(text)), "networks such as `10.0.0.0/8`")


def _schema(literal: Literal, node: Node) -> Value:
    return read_schema(literal.draft, node)


_READERS: Mapping[str, Callable[[Literal, Node], Value]] = MappingProxyType(
    {
        **dict.fromkeys(("eq", "neq", "contains"), _scalar),
        **dict.fromkeys(("lt", "lte", "gt", "gte"), _number),
        **dict.fromkeys(("in", "not_in"), _same_type_list),
        **dict.fromkeys(("len_eq", "len_lte", "len_gte"), _length),
        "exists": _flag,
        "regex": _regex,
        "glob": _glob,
        "semver": _semver,
        "path_within": _folders,
        "host_in": _hosts,
        "url_scheme_in": _schemes,
        "cidr_in": _networks,
        "json_schema": _schema,
    }
)
