"""What every format has: hidden tools, tool names, `validate`, and the finished policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ostiary.policy.formats.draft import Draft, child
from ostiary.policy.formats.fields import Fields
from ostiary.policy.formats.table import TABLES
from ostiary.policy.model import Effect, MethodRules, ToolRules, Validation
from ostiary.policy.patterns import PatternError, compile_glob
from ostiary.policy.source import Entry, Located, MapNode, Scalar, shown

MAX_NAME = 1_024
Format = Literal[1, 2, 3, 4]


def effect(text: str | None) -> Effect | None:
    """`allow` or `deny` as the model has them."""
    return None if text is None else ("allow" if text == "allow" else "deny")


def read_hide(draft: Draft, fields: Fields, at: str) -> tuple[frozenset[str], bool]:
    """The hidden names, and whether `*` hides every tool."""
    base = child(at, "hide")
    names: set[str] = set()
    for index, node in enumerate(fields.items("hide")):
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            continue
        draft.place(child(base, index), node)
        if node.value in names:
            draft.error("duplicate-entry", f"{shown(node.value)} stands twice in `hide`", node)
        if node.value != "*":
            check_name(draft, node.value, node)
        names.add(node.value)
    if "hide" in fields:
        draft.place(base, fields.spot("hide"))
    return frozenset(names - {"*"}), "*" in names


def check_name(draft: Draft, name: str, at: Located) -> None:
    """A name that can never equal a tool's would look like a rule and enforce nothing."""
    if "*" in name:
        hint = "names compare exactly; list each tool, or use `default: deny`"
        draft.error("bad-name", f"{shown(name)} is a pattern, and names are not patterns", at, hint)
    elif not name or name != name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        message = f"{shown(name)} is not a tool's name: it is empty, too long or holds invisible characters"
        draft.error("bad-name", message, at)


def tool_entries(draft: Draft, fields: Fields, at: str) -> list[tuple[str, Entry, MapNode]]:
    """Each tool of `tools`: pointer, entry, and its mapping. Other values are reported."""
    node = fields.table("tools")
    found: list[tuple[str, Entry, MapNode]] = []
    for entry in node.entries if node is not None else ():
        if not isinstance(entry.value, MapNode):
            message = f"the tool {shown(entry.key)} takes a mapping, which may be empty"
            draft.error("wrong-type", message, entry.value, "write `{}` for a tool without rules")
            continue
        pointer = child(child(at, "tools"), entry.key)
        found.append((draft.place(pointer, entry), entry, entry.value))
    return found


def warn_about_hidden(draft: Draft, hide: frozenset[str], tools: Mapping[str, ToolRules], at: str) -> None:
    """A tool that is both hidden and listed is hidden; its rules are never reached."""
    for name in sorted(hide & tools.keys()):
        place = draft.places[child(child(at, "tools"), name)]
        draft.warn("hidden-and-listed", f"{shown(name)} is hidden, so its rules are never reached", place)


def read_validation(draft: Draft, fields: Fields, at: str) -> Validation | None:
    """`validate` (P2.10); one that asks for nothing is an error."""
    node = fields.table("validate")
    if node is None:
        return None
    inner = Fields(draft, node, TABLES["validate"])
    draft.place(at, fields.spot("validate"))
    found = Validation(
        id=at,
        schema=inner.text("schema") is not None,
        required=inner.flag("required_args") or False,
        refuse_extra=inner.text("extra") == "deny",
    )
    if not found.schema | found.required | found.refuse_extra and inner.sound:
        message = "`validate` asks for nothing"
        draft.error("idle-key", message, fields.spot("validate"), "such as `schema: advertised`")
    return found


def read_methods(draft: Draft, fields: Fields, name: str) -> MethodRules:
    """`resources`, `prompts` or `methods` (P6)."""
    node = fields.table(name)
    if node is None:
        return MethodRules()
    inner = Fields(draft, node, TABLES["methods"])
    return MethodRules(
        default=effect(inner.text("default")),
        allow=_patterns(draft, inner, "allow"),
        deny=_patterns(draft, inner, "deny"),
    )


def _patterns(draft: Draft, fields: Fields, name: str) -> tuple[str, ...]:
    found: list[str] = []
    for node in fields.items(name):
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            continue
        try:
            compile_glob(node.value)
        except PatternError as fault:
            draft.error("bad-pattern", f"{shown(node.value)}: {fault}", node)
        found.append(node.value)
    return tuple(found)
