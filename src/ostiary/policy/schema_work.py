"""How often a schema visits each level of a document: a bound on work before any is done.

`{"allOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/b"}]}` thirty levels deep visits one value
2^30 times. The bound here counts, for each depth of a document, how many schema nodes can be
asked about one value at that depth, following references. Alternatives that descend through
different property names are not added up within one schema object. What stands beside
`unevaluatedProperties` or `unevaluatedItems` is asked again to learn what it looked at, so that a
chain of twenty such objects visits one value 3^20 times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, cast

_IN_PLACE: Final = ("not", "if", "then", "else")
_IN_PLACE_LISTS: Final = ("allOf", "anyOf", "oneOf")
_IN_PLACE_MAPS: Final = ("dependentSchemas", "dependencies")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_DEEPER: Final = (
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "contentSchema",
)
_ASK_AGAIN: Final = ("unevaluatedProperties", "unevaluatedItems")
_AGAIN: Final = 3  # times, measured: each such level takes two to three times as long
_MAX_NODES: Final = 20_000
_MAX_PATTERNS: Final = 100
_INDEX_DIGITS: Final = 5


class SchemaShapeError(ValueError):
    """The schema's references cannot be followed, or never descend."""


class _Node(NamedTuple):
    """Indexes of the nodes asked about the same value, and about values one level below.

    `times` is how often those about the same value are asked.
    """

    same: list[int]
    named: list[int]
    deeper: list[int]
    times: int


def work_by_depth(schema: dict[str, object], depth: int, limit: int) -> tuple[int, ...]:
    """For each document depth from 0 to `depth`, the most visits to one value; capped above `limit`.

    Raises:
        SchemaShapeError: for a reference that is not a pointer inside the schema, a nested
            `$id`, a reference cycle that never descends, more than 20,000 nodes, or more than 100
            patterns (compiling one can take milliseconds).
    """
    nodes = _graph(schema)
    order = _in_place_order(nodes)
    cap = limit + 1
    below = [0] * len(nodes)
    work: list[int] = []
    for _ in range(depth + 1):
        level = [0] * len(nodes)
        for index in order:
            node = nodes[index]
            visits = 1 + node.times * sum(level[child] for child in node.same)
            visits += sum(below[child] for child in node.deeper)
            visits += max((below[child] for child in node.named), default=0)
            level[index] = min(visits, cap)
        work.append(level[0])
        if level == below:  # and so on for ever
            break
        below = level
    return (*work, *(work[-1:] * (depth + 1 - len(work))))


def _graph(schema: dict[str, object]) -> list[_Node]:
    """All schema objects that can be reached from the root; index 0 is the root."""
    nodes: list[_Node] = []
    index_of: dict[int, int] = {}
    pending: list[dict[str, object]] = []

    def node_for(value: dict[str, object]) -> int:
        at = index_of.get(id(value))
        if at is None:
            if len(nodes) >= _MAX_NODES:
                raise SchemaShapeError("schema has more than 20,000 parts")
            if nodes and (isinstance(value.get("$id"), str) or isinstance(value.get("id"), str)):
                raise SchemaShapeError("schema changes its own address (`$id`) inside")
            at = index_of[id(value)] = len(nodes)
            nodes.append(_Node([], [], [], _AGAIN if any(word in value for word in _ASK_AGAIN) else 1))
            pending.append(value)
        return at

    node_for(schema)
    patterns = 0
    while pending:
        value = pending.pop()
        patterns += _patterns(value)
        if patterns > _MAX_PATTERNS:
            raise SchemaShapeError("schema has more than 100 patterns")
        node = nodes[index_of[id(value)]]
        node.same.extend(node_for(child) for child in _same(value, schema))
        node.named.extend(node_for(child) for child in _exclusive(value))
        node.deeper.extend(node_for(child) for child in _deeper(value))
    return nodes


def _patterns(value: dict[str, object]) -> int:
    named = value.get("patternProperties")
    return ("pattern" in value) + (len(cast("dict[str, object]", named)) if isinstance(named, dict) else 0)


def _same(value: dict[str, object], root: dict[str, object]) -> Iterator[dict[str, object]]:
    for keyword in _IN_PLACE:
        yield from _objects(value.get(keyword))
    for keyword in _IN_PLACE_LISTS:
        yield from _objects(value.get(keyword))
    for keyword in _IN_PLACE_MAPS:
        yield from _objects_in_map(value.get(keyword))
    for keyword in _REFERENCES:
        reference = value.get(keyword)
        if isinstance(reference, str):
            yield from _objects(resolve(reference, root))


def _exclusive(value: dict[str, object]) -> Iterator[dict[str, object]]:
    """Children of which one at most is asked about any one value below."""
    yield from _objects_in_map(value.get("properties"))
    yield from _objects(value.get("prefixItems"))
    items = value.get("items")
    if isinstance(items, list):
        yield from _objects(cast("list[object]", items))


def _deeper(value: dict[str, object]) -> Iterator[dict[str, object]]:
    yield from _objects_in_map(value.get("patternProperties"))
    items = value.get("items")
    if not isinstance(items, list):
        yield from _objects(items)
    for keyword in _DEEPER:
        yield from _objects(value.get(keyword))


def _objects(value: object) -> Iterator[dict[str, object]]:
    """`value` itself when it is a schema object, or the schema objects of a list."""
    if isinstance(value, dict):
        yield cast("dict[str, object]", value)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            if isinstance(item, dict):
                yield cast("dict[str, object]", item)


def _objects_in_map(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            if isinstance(item, dict):
                yield cast("dict[str, object]", item)


def resolve(reference: str, root: dict[str, object]) -> object:
    """Follow a JSON pointer fragment (RFC 6901) inside the document.

    Raises:
        SchemaShapeError: when it leads outside, or to nothing.
    """
    if reference == "#":
        return root
    if not reference.startswith("#/") or "%" in reference:
        raise SchemaShapeError("schema refers to something other than a `#/` pointer inside itself")
    found: object = root
    for part in reference[2:].split("/"):
        found = _step(found, part.replace("~1", "/").replace("~0", "~"))
    return found


def _step(found: object, name: str) -> object:
    if isinstance(found, dict):
        members = cast("dict[str, object]", found)
        if name in members:
            return members[name]
    elif isinstance(found, list) and name.isdecimal() and len(name) <= _INDEX_DIGITS:
        items = cast("list[object]", found)
        if int(name) < len(items):
            return items[int(name)]
    raise SchemaShapeError("schema refers to a part that does not exist")


def _in_place_order(nodes: list[_Node]) -> list[int]:
    """Order the nodes so that each comes after those it asks about the same value."""
    order: list[int] = []
    state = [0] * len(nodes)
    for start in range(len(nodes)):
        stack = [start]
        while stack:
            at = stack[-1]
            if state[at] == 0:
                state[at] = 1
                for child in nodes[at].same:
                    if state[child] == 1:
                        raise SchemaShapeError("schema refers to itself without descending")
                    if state[child] == 0:
                        stack.append(child)
            else:
                stack.pop()
                if state[at] == 1:
                    state[at] = 2
                    order.append(at)
    return order
