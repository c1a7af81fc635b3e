"""What became of an input schema: what it takes beyond what it took, and what it takes no more.

A policy relies on a pinned schema for what a server will do with a call, so a wider schema is what
matters most. The comparison never resolves a reference: whatever one leads to stands in the
document and is compared there. At every place that differs at least one change is found; a keyword
whose effect cannot be told is high.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast

from ostiary.registry.bounds import BOUNDS, bound_moved
from ostiary.registry.change import Change, Risk, excerpt, hides, named, valued
from ostiary.registry.fingerprint import canonical

MAX_DEPTH: Final = 64
MAX_NODES: Final = 20_000
MAX_CHANGES: Final = 200

ABSENT: Final = object()

Schema = Mapping[str, object]

_TEXTS: Final[Mapping[str, tuple[Risk, str]]] = {
    "description": ("medium", "description"),
    "title": ("low", "title"),
    "examples": ("medium", "examples"),
    "$comment": ("medium", "comment"),
}
_TURNING: Final = ("not", "if", "oneOf", "contains", "dependentSchemas", "unevaluatedProperties")
"""Keywords below which a narrower schema can make the whole one wider."""


class Place(NamedTuple):
    """Where a schema stands: as a pointer, and as the words for it."""

    pointer: str = ""
    argument: str = ""
    depth: int = 0

    def below(self, *steps: str, argument: str | None = None) -> Place:
        tokens = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
        return Place(self.pointer + tokens, self.argument if argument is None else argument, self.depth + 1)

    @property
    def words(self) -> str:
        return f"argument {named(self.argument)}" if self.argument else "the arguments"


def compare_schemas(tool: str, old: object, new: object, pointer: str = "/inputSchema") -> list[Change]:
    """Every change from `old` to `new`, the input schemas of `tool`. Empty exactly when they are equal."""
    turning = any(_mentions(schema, _TURNING) for schema in (old, new))
    referring = any(_mentions(schema, ("$ref", "$dynamicRef")) for schema in (old, new))
    comparison = _Comparison(tool, "high" if turning and referring else None)
    comparison.schemas(old, new, Place(pointer))
    return comparison.changes


def same(old: object, new: object) -> bool:
    """Whether two values have one canonical text; a missing one is equal to nothing but itself."""
    if old is ABSENT or new is ABSENT:
        return old is new
    return canonical(old) == canonical(new)


def _mentions(schema: object, keywords: tuple[str, ...]) -> bool:
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            members = cast("Schema", value)
            if any(keyword in members for keyword in keywords):
                return True
            waiting += members.values()
        elif isinstance(value, list):
            waiting += cast("list[object]", value)
    return False


class _Comparison:
    """One pass over two schemas. Changes beyond the bound are counted as one of the highest risk."""

    def __init__(self, tool: str, narrowed: Risk | None) -> None:
        self._tool = tool
        self._narrowed: Risk = narrowed or "low"
        self._nodes = 0
        self._full = False
        self.changes: list[Change] = []

    def add(
        self, risk: Risk, kind: str, words: str, place: Place, texts: tuple[object, object] = ("", "")
    ) -> None:
        """Note one change; `texts` are shown as excerpts."""
        if len(self.changes) >= MAX_CHANGES:
            if not self._full:
                self._full = True
                text = f"more than {MAX_CHANGES} changes; the rest was not compared"
                self.changes.append(Change(self._tool, "high", "incomparable", text, place.pointer))
            return
        before, after = (excerpt(text) if text is not ABSENT else "" for text in texts)
        self.changes.append(Change(self._tool, risk, kind, words, place.pointer, before, after))

    def wider(self, what: str, place: Place) -> None:
        """It takes what it did not take."""
        self.add("high", "widened", f"{place.words}: {what}", place)

    def narrower(self, what: str, place: Place) -> None:
        """It takes less than it took."""
        self.add(self._narrowed, "narrowed", f"{place.words}: {what}", place)

    def unclear(self, what: str, place: Place) -> None:
        """Whether it takes more or less cannot be told."""
        self.add("high", "incomparable", f"{place.words}: {what}", place)

    def schemas(self, old: object, new: object, place: Place) -> None:
        """Compare two schemas at one place."""
        if same(old, new):
            return
        self._nodes += 1
        if place.depth > MAX_DEPTH or self._nodes > MAX_NODES or self._full:
            self.unclear("the schema is too deep or too large to be compared", place)
            return
        before, after = _members(old), _members(new)
        if before is None or after is None:
            self._other_kind(old, new, place)
        else:
            self._keywords(before, after, place)

    def _other_kind(self, old: object, new: object, place: Place) -> None:
        """Where one of them is no object: `true` takes everything and `false` nothing; else no schema."""
        ranks = [_rank(each) for each in (old, new)]
        if ranks[0] < 0 or ranks[1] < 0:
            self.unclear("what stands here is no schema, or was none", place)
        elif ranks[0] == ranks[1]:
            self.add("low", "spelling", f"{place.words}: the same said in another way", place)
        elif ranks[1] > ranks[0]:
            self.wider("takes more, or anything at all", place)
        else:
            self.narrower("takes less, or nothing at all", place)

    def _keywords(self, old: Schema, new: Schema, place: Place) -> None:
        """Each keyword that differs, in order: `required` says nothing twice that `properties` has said."""
        for key in sorted(old.keys() | new.keys()):
            before, after = old.get(key, ABSENT), new.get(key, ABSENT)
            if same(before, after):
                continue
            found = len(self.changes)
            handler, told = _HANDLERS.get(key), False
            if handler is not None:
                told = handler(self, before, after, place.below(key), _Pair(old, new)) is True
            elif key in BOUNDS:
                self._bound(key, before, after, place.below(key))
            elif key in _TEXTS:
                self._text(key, before, after, place.below(key))
            if not told and len(self.changes) == found and not self._full:
                text = f"{named(key)} changed, and what that means cannot be told"
                self.unclear(text, place.below(key))

    def _bound(self, key: str, old: object, new: object, place: Place) -> None:
        moved = bound_moved(key, None if old is ABSENT else old, None if new is ABSENT else new)
        shown = [("none" if each is ABSENT else valued(each)) for each in (old, new)]
        text = f"`{key}` was {shown[0]} and is {shown[1]}"
        if moved == "wider":
            self.wider(text, place)
        elif moved == "narrower":
            self.narrower(text, place)
        elif moved == "same":
            self.add("low", "spelling", f"{place.words}: {text}", place)

    def _text(self, key: str, old: object, new: object, place: Place) -> None:
        risk, word = _TEXTS[key]
        if hides(new) > hides(old):
            self.add(
                "high",
                word,
                f"{place.words}: the {word} now has characters that nobody sees",
                place,
                (old, new),
            )
        else:
            self.add(risk, word, f"{place.words}: the {word} changed", place, (old, new))


class _Pair(NamedTuple):
    """The two schemas that a keyword stands in."""

    old: Schema
    new: Schema


def _rank(schema: object) -> int:
    if isinstance(schema, Mapping):
        return 1 if schema else 2
    return {True: 2, False: 0}[schema] if isinstance(schema, bool) else -1


def _names(value: object) -> list[str] | None:
    """A list of names; an absent one is empty, and None what is no list of names."""
    if value is ABSENT:
        return []
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    names = [each for each in items if isinstance(each, str)]
    return names if len(names) == len(items) else None


def _properties(found: _Comparison, old: object, new: object, place: Place, pair: _Pair) -> None:
    before, after = _members(old), _members(new)
    if before is None or after is None:
        return
    required = _names(pair.new.get("required", ABSENT)) or []
    for name in before | after:
        argument = f"{place.argument}.{name}" if place.argument else name
        inner = place.below(name, argument=argument)
        if name not in after:
            found.add("medium", "argument-removed", f"{inner.words} was removed", inner)
        elif name not in before and name in required:
            found.add("high", "argument-required", f"new required {inner.words}", inner)
        elif name not in before:
            found.add("medium", "argument-added", f"new {inner.words}, which may be left out", inner)
        else:
            found.schemas(before[name], after[name], inner)


def _required(found: _Comparison, old: object, new: object, place: Place, pair: _Pair) -> bool:
    """True where the difference was told already, with the arguments that came or went."""
    before, after = _names(old), _names(new)
    if before is None or after is None:
        return False
    known = _members(pair.old.get("properties", ABSENT)) or {}
    offered = _members(pair.new.get("properties", ABSENT)) or {}
    outer = f"{place.argument}." if place.argument else ""
    for name in dict.fromkeys(after):
        if name not in before and (name in known or name not in offered):
            at = place._replace(argument=outer + name)
            found.add("high", "argument-required", f"{at.words} is now required", at)
    for name in dict.fromkeys(before):
        at = place._replace(argument=outer + name)
        if name not in after and name in offered:
            found.wider("may now be left out", at)
        elif name not in after and name not in known:
            found.add("medium", "argument-removed", f"{at.words} is no longer required", at)
    if set(before) == set(after):
        found.add("low", "spelling", f"{place.words}: `required` names the same in another way", place)
    return True


def _types(found: _Comparison, old: object, new: object, place: Place, _pair: _Pair) -> None:
    before = ["anything"] if old is ABSENT else _names([old] if isinstance(old, str) else old)
    after = ["anything"] if new is ABSENT else _names([new] if isinstance(new, str) else new)
    if before is None or after is None:
        return
    was, now = _every_type(before), _every_type(after)
    text = f"the type was {_listed(before)} and is {_listed(after)}"
    if now - was:
        found.wider(text, place)
    elif was - now:
        found.narrower(text, place)
    else:
        found.add("low", "spelling", f"{place.words}: {text}", place)


_EVERY_TYPE: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def _every_type(types: list[str]) -> set[str]:
    if types == ["anything"]:
        return set(_EVERY_TYPE)
    return {*types, "integer"} if "number" in types else set(types)


def _listed(types: list[str]) -> str:
    return " or ".join(named(each).strip("`") for each in types[:8])


def _values(found: _Comparison, old: object, new: object, place: Place, _pair: _Pair) -> None:
    """`enum`, and `const`, which is an enumeration of one."""
    single = place.pointer.endswith("/const")
    before, after = (_enumerated(each, single=single) for each in (old, new))
    if isinstance(before, str) or isinstance(after, str):
        return
    if after is None:
        found.wider("any value is taken, where some were listed", place)
    elif before is None:
        found.narrower("only some values are taken", place)
    elif added := [value for text, value in after.items() if text not in before]:
        found.wider(f"also takes {', '.join(valued(each) for each in added[:5])}", place)
    elif before.keys() - after.keys():
        found.narrower("takes fewer of the listed values", place)
    else:
        found.add("low", "spelling", f"{place.words}: the same values in another way", place)


def _enumerated(value: object, *, single: bool) -> dict[bytes, object] | str | None:
    """Values by their canonical text; None without an enumeration, a text for what is none."""
    if value is ABSENT:
        return None
    if single:
        return {canonical(value): value}
    if not isinstance(value, list):
        return "not a list"
    return {canonical(each): each for each in cast("list[object]", value)}


def _guard(found: _Comparison, old: object, new: object, place: Place, _pair: _Pair) -> None:
    """`pattern` and `format`: of two of them nobody can say which takes more."""
    word = place.pointer.rpartition("/")[2]
    if old is ABSENT:
        found.narrower(f"a {word} was added", place)
    elif new is ABSENT:
        found.wider(f"the {word} was dropped", place)
    else:
        found.unclear(f"has another {word}", place)


def _default(found: _Comparison, old: object, new: object, place: Place, _pair: _Pair) -> None:
    shown = ["none" if each is ABSENT else valued(each) for each in (old, new)]
    found.add("medium", "default", f"{place.words}: the default was {shown[0]} and is {shown[1]}", place)


def _open_schema(found: _Comparison, old: object, new: object, place: Place, _pair: _Pair) -> None:
    """Keywords that hold one schema, and stand for `true` where they are missing."""
    items = place.pointer.endswith("/items")
    if isinstance(old, list) or isinstance(new, list):
        return  # `items` of old drafts: one schema for each place
    inner = place._replace(argument=place.argument + "[]" if items else f"{place.argument}.*".lstrip("."))
    before, after = (True if each is ABSENT else each for each in (old, new))
    if same(before, after):
        found.add("low", "spelling", f"{inner.words}: the same said in another way", inner)
    elif before is False and not items:
        found.wider("also takes arguments that are not listed", place)
    else:
        found.schemas(before, after, inner)


def _branches(found: _Comparison, old: object, new: object, place: Place, _pair: _Pair) -> None:
    """`anyOf` and `allOf`: pairs in their order, where the number is the same."""
    every = place.pointer.endswith("/allOf")
    if not isinstance(old, list) or not isinstance(new, list):
        return
    before, after = cast("list[object]", old), cast("list[object]", new)
    if len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            found.schemas(one, other, place.below(str(index)))
        return
    texts, others = {canonical(each) for each in before}, {canonical(each) for each in after}
    more, fewer = (texts - others, others - texts) if every else (others - texts, texts - others)
    if more:
        found.wider("another alternative is taken" if not every else "a demand was dropped", place)
    elif fewer:
        found.narrower("an alternative was dropped" if not every else "a demand was added", place)
    else:
        found.add("low", "spelling", f"{place.words}: the same alternatives in another way", place)


def _definitions(found: _Comparison, old: object, new: object, place: Place, _pair: _Pair) -> None:
    """`$defs`: what is referred to is compared where it stands."""
    before, after = _members(old), _members(new)
    if before is None or after is None:
        return
    for name in before | after:
        inner = place.below(name, argument=f"<{name}>")
        if name in before and name in after:
            found.schemas(before[name], after[name], inner)
        else:
            word = "removed" if name in before else "added"
            found.add("medium", "definition", f"the definition {named(name)} was {word}", inner)


def _members(value: object) -> dict[str, object] | None:
    """A map of schemas in its order; an absent one is empty, and None what is no map."""
    if value is ABSENT:
        return {}
    return dict(cast("Schema", value)) if isinstance(value, Mapping) else None


Handler = Callable[[_Comparison, object, object, Place, _Pair], bool | None]

_HANDLERS: Final[Mapping[str, Handler]] = {
    "properties": _properties,
    "required": _required,
    "type": _types,
    "enum": _values,
    "const": _values,
    "pattern": _guard,
    "format": _guard,
    "default": _default,
    "additionalProperties": _open_schema,
    "items": _open_schema,
    "anyOf": _branches,
    "allOf": _branches,
    "$defs": _definitions,
    "definitions": _definitions,
}
