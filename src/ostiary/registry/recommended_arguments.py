"""What a recommended policy asks of the arguments of one tool, and a call on each side of every bound. Pure.

Bounds are those of the schema where it has some, and chosen where it has none. A schema is hostile
input: what it says may make a rule tighter, never absent, and no text of it becomes a rule unless
it is short and printable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

import msgspec

from ostiary.policy.definition import ToolDefinition
from ostiary.registry.change import MAX_VALUE, named
from ostiary.registry.classify.reading import Argument
from ostiary.registry.classify.rules import load
from ostiary.registry.classify.weight import matches
from ostiary.registry.classify.words import name_words
from ostiary.registry.recommended_schema import kind_of, members_of, plain, required_of, unfollowed
from ostiary.registry.recommended_values import Asked, asked_of

MAX_BOUNDS: Final = 60
MAX_DEPTH: Final = 3
MAX_SEEN: Final = 5_000
"""Members that are looked at: a schema that refers to itself has no end."""

OPEN_ROOT: Final = frozenset(
    {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "not", "patternProperties", "dependentSchemas"}
)
"""Ways of a schema to speak of arguments that are not followed at its top."""

RISKY: Final = frozenset({"file-path", "url", "shell-command", "free-code", "credentials", "force"})


_PLACES: Final = frozenset({"file-path", "url"})
_ADDRESSES: Final = frozenset(
    {"uri", "url", "hostname", "iri", "uri-reference", "iri-reference", "idn-hostname"}
)


class Bound(msgspec.Struct, frozen=True):
    """One rule about one argument. `keys` lead to it.

    `excuse` leads to what may be left out, and the argument with it; None where a call without the
    argument is refused, too.
    """

    keys: tuple[str, ...]
    excuse: tuple[str, ...] | None
    asked: Asked

    @property
    def path(self) -> str | list[str]:
        """How a rule names the argument."""
        return _spelled(self.keys)

    def conditions(self) -> list[Mapping[str, object]]:
        """What must hold of the argument; one that may be left out may still be left out."""
        found = [_placed(self.path, each) for each in self.asked.tests]
        if self.excuse is None:
            return found
        missing: Mapping[str, object] = {"path": _spelled(self.excuse), "op": "exists", "value": False}
        return [{"any": [missing, found[0] if len(found) == 1 else {"all": found}]}]


class Reading(msgspec.Struct, frozen=True):
    """What came of a schema.

    `ordinary` are the arguments of a usual call. `unnamed`: an argument has a name that no rule can
    hold. `unreached` names risky arguments that stand where no rule reaches. `free` names those that
    are a list of texts, an object without members, or of any type. `open`: more may be passed than
    was read here.
    """

    bounds: tuple[Bound, ...]
    ordinary: Mapping[str, object]
    unnamed: bool = False
    unreached: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    open: bool = False


class _Walk:
    """Gathers bounds, the arguments of a usual call, and what no rule reaches."""

    def __init__(self, root: Mapping[str, object]) -> None:
        self.root = root
        self.bounds: list[Bound] = []
        self.ordinary: dict[str, object] = {}
        self.unnamed = False
        self.unreached: list[str] = []
        self.free: list[str] = []
        self.open = bool(OPEN_ROOT & root.keys())
        self._seen = 0

    def into(self, schema: Mapping[str, object], keys: tuple[str, ...], *, needed: bool) -> None:
        """Everything that `schema` says of the members of the object at `keys`."""
        wanted = required_of(schema)
        for name, raw in members_of(schema).items():
            if self._is_enough():
                return
            if len(self.bounds) >= MAX_BOUNDS:
                self.open = True
                return
            if not is_nameable(name):
                self.unnamed = True
                continue
            schema_of = plain(raw, self.root)
            self._take((*keys, name), schema_of, above=needed, needed=needed and name in wanted)
            self._aside(name, raw, 1)

    def _is_enough(self) -> bool:
        """Counts a member; beyond the bound the rest is taken for anything."""
        self._seen += 1
        self.open = self.open or self._seen > MAX_SEEN
        return self._seen > MAX_SEEN

    def _take(
        self, keys: tuple[str, ...], schema: Mapping[str, object], *, above: bool, needed: bool
    ) -> None:
        """One member; `above`: what it stands in is always there, `needed`: it is there itself."""
        name, kind = keys[-1], kind_of(schema)
        items = plain(schema.get("items"), self.root)
        codes = codes_of(name, kind, schema)
        asked = asked_of(name, schema, items, codes)
        lacking = asked is not None and asked.must_be_there
        if needed or (lacking and above):
            place(self.ordinary, keys, False if asked is None and kind == "boolean" else _good(asked))
        if asked is not None:
            excuse = None if needed or (lacking and above) else keys[:-1] if lacking else keys
            self.bounds.append(Bound(keys, excuse, asked))
        if "force" in codes and (asked is None or not asked.closes):
            self.unreached.append(name)
        if kind == "array":
            self._below(name, items, 1)
            self._aside(name, schema.get("items"), 1)
        inner = members_of(schema)
        bounded = asked is not None and (asked.placeholder or asked.closes)
        if (
            kind in {"array", "object"}
            and not bounded
            and not inner
            and codes_of(name, "string", {}) & _PLACES
        ):
            self.unreached.append(name)
        if inner and kind == "object":
            if len(keys) < MAX_DEPTH:
                self.into(schema, keys, needed=needed)
            else:
                self._below(name, schema, 1)
        if "enum" not in schema and (not kind or (kind == "object" and not inner) or is_texts(kind, items)):
            self.free.append(name)

    def _below(self, name: str, schema: Mapping[str, object], depth: int) -> None:
        """Risky arguments inside of lists, and deeper than rules lead."""
        if depth > MAX_DEPTH:
            self.open = self.open or bool(members_of(schema))
            return
        for inner, raw in members_of(schema).items():
            if self._is_enough():
                return
            below = plain(raw, self.root)
            if codes_of(inner, kind_of(below), below) & RISKY:
                self.unreached.append(f"{name}.{inner}")
            self._below(f"{name}.{inner}"[:MAX_VALUE], below, depth + 1)
            self._below(f"{name}.{inner}"[:MAX_VALUE], plain(below.get("items"), self.root), depth + 1)
            self._aside(f"{name}.{inner}"[:MAX_VALUE], raw, depth + 1)

    def _aside(self, name: str, raw: object, depth: int) -> None:
        """The same in alternatives, of which a call may fit any."""
        if depth > MAX_DEPTH:
            return
        for each in unfollowed(raw, self.root):
            if self._is_enough():
                return
            self._below(name, plain(each, self.root), depth)
            self._aside(name, each, depth + 1)


def reading_of(tool: ToolDefinition) -> Reading:
    """What is to be asked of the arguments of a tool. One without a schema is open."""
    schema = tool.input_schema
    if not isinstance(schema, dict):
        return Reading((), {}, open=True)
    walk = _Walk(cast("dict[str, object]", schema))
    walk.into(walk.root, (), needed=True)
    return Reading(
        tuple(walk.bounds),
        walk.ordinary,
        walk.unnamed,
        tuple(dict.fromkeys(walk.unreached))[:8],
        tuple(dict.fromkeys(walk.free))[:8],
        walk.open,
    )


def calls(reading: Reading) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Calls that each break one bound: which one, and the arguments."""
    for index, bound in enumerate(reading.bounds):
        for bad in bound.asked.bad:
            arguments = cast("dict[str, object]", _copied(reading.ordinary))
            place(arguments, bound.keys, bad)
            yield index, arguments


def place(arguments: dict[str, object], keys: tuple[str, ...], value: object) -> None:
    """Put `value` where `keys` lead, through objects that are made where there are none."""
    level = arguments
    for key in keys[:-1]:
        inner = level.get(key)
        if not isinstance(inner, dict):
            inner = level[key] = cast("dict[str, object]", {})
        level = cast("dict[str, object]", inner)
    level[keys[-1]] = value


def codes_of(name: str, kind: str, schema: Mapping[str, object]) -> frozenset[str]:
    """The signals that an argument of this name and type is."""
    choices = ("",) if isinstance(schema.get("enum"), list) else ()
    one = Argument(name, " ".join(name_words(name)), "", kind, choices, schema)
    found = frozenset(rule.code for rule in load().signals.parameters if matches(one, rule))
    return found | {"url"} if str(schema.get("format")) in _ADDRESSES and not choices else found


def is_nameable(name: str) -> bool:
    """Whether a rule can name an argument: short and printable."""
    return bool(name) and name.isprintable() and len(name) <= MAX_VALUE


def is_texts(kind: str, items: Mapping[str, object]) -> bool:
    """Whether an argument is a list of texts that nothing closes."""
    return kind == "array" and kind_of(items) in {"", "string", "array"} and "enum" not in items


def label(bound: Bound) -> str:
    """The argument of a bound, for a sentence."""
    return named(".".join(bound.keys))


def _spelled(keys: tuple[str, ...]) -> str | list[str]:
    dotted = all(key.isascii() and key.replace("_", "").replace("-", "").isalnum() for key in keys)
    return ".".join(("args", *keys)) if dotted else ["args", *keys]


def _good(asked: Asked | None) -> object:
    return None if asked is None else _copied(asked.good)


def _copied(value: object) -> object:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in cast("dict[str, object]", value).items()}
    return [*cast("list[object]", value)] if isinstance(value, list) else value


def _placed(path: str | list[str], test: Mapping[str, object]) -> Mapping[str, object]:
    """A test with its path: the tests of `Asked` say `op` and `value`, or combine such."""
    if "any" in test:
        inner = cast("list[Mapping[str, object]]", test["any"])
        return {"any": [_placed(path, each) for each in inner]}
    return {"path": path, **test}
