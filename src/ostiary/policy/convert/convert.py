"""Any format as format 4, or the reason why not. Nothing is approximated: the result is compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ostiary.errors import CallerFault, GatewayFault
from ostiary.policy.canonical import canonical
from ostiary.policy.convert.notes import (
    Note,
    names_of_rules,
    notes_on_approvals,
    notes_on_numbers,
    notes_on_rules,
)
from ostiary.policy.convert.written import write_policy
from ostiary.policy.formats.limit import MAX_COUNTER, is_counter
from ostiary.policy.formats.shape import TableOf
from ostiary.policy.formats.table import TABLES
from ostiary.policy.layout.json_text import write_json
from ostiary.policy.layout.piece import Group, build, put_in_order
from ostiary.policy.layout.rewrite import Written, format_of, load_written, policies_of
from ostiary.policy.load import load_text
from ostiary.policy.model import Limit, Place, Policy, ToolRules
from ostiary.policy.source import MapNode, Scalar, shown

Syntax = Literal["json", "yaml"]
_OWN = frozenset({1, 4})


@dataclass(frozen=True, slots=True)
class Converted:
    """A document in format 4, and what to know about the difference."""

    text: bytes
    notes: tuple[Note, ...]


def converted(raw: bytes, *, file: str, to: Syntax | None = None) -> Converted:
    """The document as format 4, in the syntax `to`, else in its own.

    Raises:
        PolicyError: the document does not load.
        CallerFault: it cannot be written as format 4 within the bounds of a document.
        GatewayFault: the result would not mean the same; a defect.
    """
    loaded = load_written(raw, file=file)
    syntax: Syntax = to or ("json" if loaded.json else "yaml")
    start = Place(file, loaded.node.line, loaded.node.column)
    notes = _notes_on_text(loaded, start, syntax)
    policies = policies_of(loaded.document)
    node = loaded.node
    if format_of(loaded.document) not in _OWN:
        renamed, more = _renamed(policies[""], start)
        notes += [*notes_on_rules(policies[""], start), *notes_on_approvals(node, file), *more]
        policies = {"": renamed}
        node = write_policy(renamed, description=_description(node), comments=names_of_rules(node))
    text = _written(node, syntax)
    _check(policies, text, f"{file} as format 4.{syntax}")
    return Converted(text, tuple(notes))


def _notes_on_text(loaded: Written, start: Place, syntax: Syntax) -> list[Note]:
    notes: list[Note] = []
    if not loaded.json:
        from ostiary.policy.layout.comments import Scan  # noqa: PLC0415 - PyYAML is loaded only for YAML

        comments = list(Scan(loaded.text).comments())
        if comments:
            place = Place(start.file, comments[0].line, comments[0].column)
            count = f"{len(comments)} comments are" if len(comments) > 1 else "a comment is"
            notes.append(Note(place, f"{count} not carried over; `$comment` would be"))
        if syntax == "json" and format_of(loaded.document) in _OWN:
            notes += notes_on_numbers(loaded.node, start.file)
    return notes


def _description(node: MapNode) -> str | None:
    found = node.get("description")
    return found.value if isinstance(found, Scalar) and isinstance(found.value, str) else None


def _written(node: MapNode, syntax: Syntax) -> bytes:
    root = build(node, TableOf("document"), TABLES, dense=syntax == "json")
    put_in_order(root)
    if not isinstance(root, Group):
        raise GatewayFault("a policy is a mapping")
    if syntax == "json":
        return write_json(root).encode()
    from ostiary.policy.layout.yaml_text import write_yaml  # noqa: PLC0415 - only when YAML is asked for

    return write_yaml(root).encode()


def _renamed(policy: Policy, start: Place) -> tuple[Policy, list[Note]]:
    """The policy with counters that format 4 can name, and what was renamed."""
    notes: list[Note] = []
    tools = {name: _with_names(rules, policy, start, notes) for name, rules in policy.tools.items()}
    return replace(policy, all_tools=_with_names(policy.all_tools, policy, start, notes), tools=tools), notes


def _with_names(rules: ToolRules, policy: Policy, start: Place, notes: list[Note]) -> ToolRules:
    taken = {limit.counter for limit in rules.limits}
    limits: list[Limit] = []
    for limit in rules.limits:
        name = limit.counter
        if not is_counter(name):
            name = _free_name(name, taken)
            taken.add(name)
            message = f"the counter {shown(limit.counter)} is now called `{name}`, and counts from zero"
            notes.append(Note(policy.places.get(limit.id, start), message))
        limits.append(replace(limit, counter=name))
    return replace(rules, limits=tuple(limits))


def _free_name(name: str, taken: set[str]) -> str:
    clean = "".join(each if each.isprintable() else "_" for each in name).strip()
    base = clean[: MAX_COUNTER - 8].strip() or "counter"
    number = 1
    while (found := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return found


def _check(policies: dict[str, Policy], text: bytes, file: str) -> None:
    """The result loads, and is the same policy but for ids."""
    document, diagnostics = load_text(text, file=file, unsafe_monitor=True)
    if document is None:
        first = next(each for each in diagnostics if each.severity == "error")
        raise CallerFault(f"{file} would not load: {first.message}", hint=first.hint)
    again = policies_of(document)
    if {name: canonical(policy) for name, policy in again.items()} != {
        name: canonical(policy) for name, policy in policies.items()
    }:
        raise GatewayFault(
            f"{file} would mean something else", hint="this is a defect in ostiary; nothing was written"
        )
