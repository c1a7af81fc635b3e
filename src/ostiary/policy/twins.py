"""Names that are not a known name but would be taken for one (P3.5, P3.6).

Some servers fold case, normalise Unicode or drop invisible characters when they look up a
tool or read an argument. A name that becomes a known one that way is refused, because a rule
about the known name would otherwise not see it.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, cast

from ostiary.policy.model import Path
from ostiary.policy.schema_work import SchemaShapeError, resolve

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
# Characters outside those categories that are drawn as nothing (Unicode: default ignorable).
_IGNORABLE: Final = frozenset(
    [
        0x034F,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        0x3164,
        0xFFA0,
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    ]
)
_ASCII_DROPPED: Final = dict.fromkeys((*range(33), 127))
_MAX_CLEAN: Final = 256
_MAX_CLEAN_LENGTH: Final = 1024
_MAX_ROUNDS: Final = 8
_MAX_NAMES: Final = 5_000
_MAX_DEPTH: Final = 8


def fold(name: str) -> str:
    """Reduce a name to what a lenient reader might look it up by.

    NFKC, case folding, and without control, invisible and space characters.
    """
    if name.isascii():
        return name.translate(_ASCII_DROPPED).lower()
    text = name
    for _ in range(_MAX_ROUNDS):
        folded = _fold_once(text)
        if folded == text:
            break
        text = folded
    return text


def _fold_once(name: str) -> str:
    """One round. Dropping a character can bring together others that then compose."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(
        char for char in text if unicodedata.category(char) not in _INVISIBLE and ord(char) not in _IGNORABLE
    )


def twin_of(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` folds to, or None. `name` itself must not be known."""
    folded = fold(name)
    for candidate in known:
        if fold(candidate) == folded:
            return candidate
    return None


@dataclass(slots=True)
class Names:
    """Argument names known at one level, and the levels below them."""

    below: dict[str, Names] = field(default_factory=dict[str, "Names"])
    folded: dict[str, str] = field(default_factory=dict[str, str])
    clean: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    deep: bool = False
    """Whether any level below knows names."""

    def add(self, name: str) -> Names:
        """Make `name` known here; returns the level below it."""
        level = self.below.get(name)
        if level is None:
            level = self.below[name] = Names()
            self.folded.setdefault(fold(name), name)
        return level


def known_names(paths: Iterable[Path], schema: object) -> Names:
    """Names from rule paths and from a schema's `properties`, as a tree."""
    root = Names()
    for path in paths:
        level = root
        for name in path:
            level = level.add(name)
    if isinstance(schema, dict):
        _add_properties(root, cast("dict[str, object]", schema))
    _mark_deep(root)
    return root


def _add_properties(root: Names, schema: dict[str, object]) -> None:
    """Walk `properties`, also through references, `allOf` and the like and `items`.

    Breadth first and bounded: a schema may refer to itself.
    """
    pending: deque[tuple[Names, object, int]] = deque([(root, schema, 0)])
    count = 0
    while pending and count < _MAX_NAMES:
        level, part, depth = pending.popleft()
        count += 1
        if not isinstance(part, Mapping):
            continue
        node = cast("Mapping[str, object]", part)
        properties = node.get("properties")
        if isinstance(properties, Mapping):
            for name, inner in cast("Mapping[str, object]", properties).items():
                count += 1
                below = level.add(name)
                if depth < _MAX_DEPTH:
                    pending.append((below, inner, depth + 1))
        if depth < _MAX_DEPTH:
            pending.extend((level, inner, depth + 1) for inner in _same_level(node, schema))


def _same_level(node: Mapping[str, object], schema: dict[str, object]) -> list[object]:
    found: list[object] = [node.get(keyword) for keyword in ("items", "if", "then", "else")]
    for keyword in ("allOf", "anyOf", "oneOf", "prefixItems"):
        branches = node.get(keyword)
        if isinstance(branches, list):
            found.extend(cast("list[object]", branches))
    branches = node.get("dependentSchemas")
    if isinstance(branches, dict):
        found.extend(cast("dict[str, object]", branches).values())
    reference = node.get("$ref")
    if isinstance(reference, str):
        with suppress(SchemaShapeError):  # whoever validates by this schema refuses it
            found.append(resolve(reference, schema))
    return found


def _mark_deep(level: Names) -> bool:
    marked = [_mark_deep(below) for below in level.below.values()]
    level.deep = any(below.below for below in level.below.values()) or any(marked)
    return level.deep


def argument_twin(names: Names, arguments: Mapping[str, object]) -> tuple[str, str] | None:
    """Find an argument key that only folds to a known one: (path of the key, known name).

    Objects inside arrays are checked by the names known for the array.
    """
    keys = tuple(arguments)
    if keys not in names.clean:
        for key in keys:
            if key not in names.below:
                known = names.folded.get(fold(key))
                if known is not None:
                    return key, known
        if len(names.clean) >= _MAX_CLEAN:
            names.clean.clear()
        if sum(map(len, keys)) <= _MAX_CLEAN_LENGTH:
            names.clean.add(keys)
    return _twin_below(names, arguments) if names.deep else None


def _twin_below(names: Names, arguments: Mapping[str, object]) -> tuple[str, str] | None:
    for key, value in arguments.items():
        below = names.below.get(key)
        if below is None or not below.below:
            continue
        for item in _objects(value):
            found = argument_twin(below, item)
            if found is not None:
                return f"{key}.{found[0]}", found[1]
    return None


def _objects(value: object) -> Iterable[Mapping[str, object]]:
    """The object itself, or the objects of an array, also of arrays inside it."""
    if isinstance(value, (dict, Mapping)):  # nearly always a dict, and that is known at once
        return (cast("Mapping[str, object]", value),)
    if not isinstance(value, (list, tuple)):
        return ()
    found: list[Mapping[str, object]] = []
    pending: list[object] = [*cast("list[object]", value)]
    for item in pending:
        if isinstance(item, Mapping):
            found.append(cast("Mapping[str, object]", item))
        elif isinstance(item, (list, tuple)):
            pending.extend(cast("list[object]", item))
    return found
