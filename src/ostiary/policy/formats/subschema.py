"""The value of `json_schema`: a schema that the author wrote into the policy (P3.8)."""

from __future__ import annotations

from collections.abc import Mapping

from ostiary.policy.formats.draft import Draft
from ostiary.policy.formats.shape import kind
from ostiary.policy.model import Value
from ostiary.policy.operand import OperandError, plain
from ostiary.policy.schema import SchemaError, compile_schema
from ostiary.policy.source import ListNode, MapNode, Node


def read_schema(draft: Draft, node: Node) -> Value:
    """The schema as a value, after it was compiled once; None after a problem was reported."""
    if not isinstance(node, MapNode):
        draft.error("bad-value", f"`json_schema` takes a schema, found {kind(node)}", node)
        return None
    value = value_of(node)
    try:
        compile_schema(plain(value), formats=True)
    except (SchemaError, OperandError) as fault:
        draft.error("bad-schema", str(fault), node)
        return None
    return value


def value_of(node: Node) -> Value:
    """A subtree as a value of the normal form."""
    if isinstance(node, ListNode):
        return tuple(value_of(item) for item in node.items)
    if isinstance(node, MapNode):
        values: Mapping[str, Value] = {entry.key: value_of(entry.value) for entry in node.entries}
        return values
    return node.value
