"""Which format a document is written in (P1.5)."""

from __future__ import annotations

from ostiary.policy.formats import intercept, ostiary, short
from ostiary.policy.formats.draft import Draft
from ostiary.policy.formats.table import TABLES
from ostiary.policy.model import Document
from ostiary.policy.source import Entry, MapNode, Node


def read_document(draft: Draft, node: Node | None) -> Document | None:
    """The document in normal form, or None when it cannot be taken for any format."""
    if node is None or (isinstance(node, MapNode) and not node.entries):
        at = _START if node is None else node
        draft.error("empty-document", "the document is empty", at, "the smallest policy says `default: deny`")
        return None
    if not isinstance(node, MapNode):
        draft.error("wrong-type", "a policy is a mapping", node)
        return None
    with_rules = _tool_keys(node, frozenset({"rules"}))
    if with_rules is None:
        return ostiary.read_document(draft, node)
    foreign = _tool_keys(node, _OWN_KEYS) or _top_level(node)
    if foreign is not None:
        message = f"`{foreign.key}` and `rules` belong to different formats"
        draft.error(
            "mixed-formats", message, foreign, "write each tool with `require`, `deny_if` and `limits`"
        )
        return None
    if node.get("version") is not None:
        return intercept.read_document(draft, node)
    return short.read_document(draft, node)


_OWN_KEYS = frozenset(TABLES["tool"]) - {"rules"}
_OWN_TOP = frozenset({"all_tools", "servers", "resources", "prompts", "methods", "flows", "loops", "mode"})
_START = MapNode(1, 1, ())


def _top_level(node: MapNode) -> Entry | None:
    return next((entry for entry in node.entries if entry.key in _OWN_TOP), None)


def _tool_keys(node: MapNode, names: frozenset[str]) -> Entry | None:
    """The first key among `names` that stands under any tool."""
    tools = node.get("tools")
    if not isinstance(tools, MapNode):
        return None
    inner = (tool.value.entries for tool in tools.entries if isinstance(tool.value, MapNode))
    return next((entry for entries in inner for entry in entries if entry.key in names), None)
