"""Conditions (P3): paths, tests, combinators and quantifiers."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from ostiary.policy.formats.draft import Draft, child
from ostiary.policy.formats.fields import Fields
from ostiary.policy.formats.literal import read_value
from ostiary.policy.formats.shape import MAX_TEXT, Table
from ostiary.policy.formats.table import FIRST_OPERATORS, TABLES
from ostiary.policy.model import AllOf, AnyOf, Condition, Each, Not, Path, Test, Value
from ostiary.policy.source import ListNode, MapNode, Node, Scalar, shown

MAX_KEYS = 32
_BY_TEXT = frozenset({"eq", "neq", "in", "not_in", "contains"})
_BESIDE_OP = "numeric_text"
_FORMS = MappingProxyType(
    {
        "op": frozenset({"path", "op", "value"}),
        "any_of": frozenset({"path", "any_of"}),
        "all_of": frozenset({"path", "all_of"}),
        "any": frozenset({"any"}),
        "all": frozenset({"all"}),
        "not": frozenset({"not"}),
    }
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How conditions are read here.

    `table` is the key table; `wide` lifts P3.4's bounds; `numeric_text` marks format 2 (P3.3).
    """

    table: Table
    wide: bool = False
    numeric_text: bool = False


def read_condition(draft: Draft, node: MapNode, at: str, dialect: Dialect) -> Condition | None:
    """One condition, or None after a problem was reported."""
    fields = Fields(draft, node, dialect.table)
    written = frozenset(name for name in dialect.table if name in fields and name != _BESIDE_OP)
    form = next((name for name, keys in _FORMS.items() if written == keys), None)
    if form is None:
        _refuse_form(draft, node, written)
        return None
    draft.place(at, node)
    _check_beside_op(draft, fields)
    if form in {"any", "all"}:
        return _combined(draft, fields, at, dialect)
    if form == "not":
        inner = fields.table("not")
        found = None if inner is None else read_condition(draft, inner, child(at, "not"), dialect)
        return None if found is None else Not(found)
    path = read_path(draft, fields.node("path"))
    return _test(draft, fields, path, dialect) if form == "op" else _each(draft, fields, path, form, dialect)


def _check_beside_op(draft: Draft, fields: Fields) -> None:
    """`numeric_text` serves the operators that compare values, and nothing else."""
    if _BESIDE_OP in fields and fields.text("op") not in _BY_TEXT:
        message = f"`{_BESIDE_OP}` has no effect without one of `{'`, `'.join(sorted(_BY_TEXT))}`"
        draft.error("idle-key", message, fields.spot(_BESIDE_OP))


def _refuse_form(draft: Draft, node: MapNode, written: frozenset[str]) -> None:
    """Say which key is missing, or that two forms are mixed; refused keys were reported before."""
    for keys in _FORMS.values():
        if written < keys and written & (keys - {"path"}):
            missing = sorted(keys - written - {entry.key for entry in node.entries})
            for name in missing:
                draft.error("missing-key", f"the key `{name}` is missing", node)
            return
    present = {entry.key for entry in node.entries} - {_BESIDE_OP}
    if present <= written | {"path"}:
        hint = "`path`, `op` and `value`; or `path` and `any_of` or `all_of`; or `any`, `all` or `not` alone"
        draft.error("bad-condition", "a condition has exactly one form", node, hint)


def _combined(draft: Draft, fields: Fields, at: str, dialect: Dialect) -> Condition | None:
    name = "any" if "any" in fields else "all"
    inner = read_conditions(draft, fields, name, at, dialect)
    return AnyOf(inner) if name == "any" else AllOf(inner)


def read_conditions(
    draft: Draft, fields: Fields, name: str, at: str, dialect: Dialect
) -> tuple[Condition, ...]:
    """Every condition in the list at `name`."""
    base = child(at, name)
    found = (read_condition(draft, node, child(base, index), dialect) for index, node in fields.tables(name))
    return tuple(each for each in found if each is not None)


def _test(draft: Draft, fields: Fields, path: Path | None, dialect: Dialect) -> Test | None:
    compared = _compared(draft, fields, dialect)
    if path is None or compared is None:
        return None
    op, value = compared
    by_text = dialect.numeric_text or fields.flag(_BESIDE_OP) or False
    return Test(path, op, value, numeric_text=by_text and op in _BY_TEXT)


def _each(draft: Draft, fields: Fields, path: Path | None, form: str, dialect: Dialect) -> Each | None:
    inner = fields.table(form)
    compared = None if inner is None else _compared(draft, Fields(draft, inner, TABLES["each"]), dialect)
    if path is None or compared is None:
        return None
    return Each(path, "any_of" if form == "any_of" else "all_of", *compared)


def _compared(draft: Draft, fields: Fields, dialect: Dialect) -> tuple[str, Value] | None:
    op, node = fields.text("op"), fields.node("value")
    if op is None or node is None:
        return None
    draft.extended |= op not in FIRST_OPERATORS
    return op, read_value(draft, op, node, wide=dialect.wide)


def read_path(draft: Draft, node: Node | None) -> Path | None:
    """The keys below `args` (P3.5), from `args.a.b` or a list of keys; None after a problem.

    A list may begin with `args`, which is then the root and not a key.
    """
    if isinstance(node, ListNode):
        return _listed_path(draft, node)
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return None
    root, *keys = node.value.split(".")
    if root != "args" or not keys:
        draft.error("bad-path", f"a path begins with `args.`, found {shown(node.value)}", node)
        return None
    return _bounded(draft, node, tuple(keys))


def _listed_path(draft: Draft, node: ListNode) -> Path | None:
    draft.extended = True
    keys = tuple(
        item.value for item in node.items if isinstance(item, Scalar) and isinstance(item.value, str)
    )
    if len(keys) != len(node.items):
        return None
    if keys == ("args",):
        hint = "write `args.args` for an argument of that name"
        draft.error("bad-path", "a list of keys does not end at `args`", node, hint)
        return None
    return _bounded(draft, node, keys[1:] if keys[0] == "args" else keys)


def _bounded(draft: Draft, node: Node, keys: Path) -> Path | None:
    if not all(1 <= len(key) <= MAX_TEXT for key in keys) or len(keys) > MAX_KEYS:
        message = f"a path has 1 to {MAX_KEYS} keys, and none of them is empty"
        draft.error("bad-path", message, node, "a key with dots needs a list of keys")
        return None
    return keys
