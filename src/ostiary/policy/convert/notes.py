"""What somebody who converts a policy should know: what changes, and what is now said otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ostiary.policy.convert.written import length
from ostiary.policy.formats.draft import child
from ostiary.policy.layout.scalars import in_json
from ostiary.policy.model import AnyOf, Condition, Limit, Place, Policy, Rule, Test, ToolRules
from ostiary.policy.source import ListNode, MapNode, Node, Scalar, shown


@dataclass(frozen=True, slots=True)
class Note:
    """One remark about one place of the document that was converted."""

    place: Place
    message: str

    def render(self) -> str:
        """`file:line:column: note: message`."""
        return f"{self.place.file}:{self.place.line}:{self.place.column}: note: {self.message}"


def notes_on_rules(policy: Policy, start: Place) -> list[Note]:
    """What is said otherwise in format 4 than in format 2 or 3, in the order of the text."""
    found = [Note(start, message) for message in _on_document(policy)]
    for rules in (policy.all_tools, *policy.tools.values()):
        found += [Note(policy.places.get(pointer, start), message) for pointer, message in _on_tool(rules)]
    ordered = sorted(found, key=lambda note: (note.place.line, note.place.column))
    return list(dict.fromkeys(ordered))


def _on_document(policy: Policy) -> Iterator[str]:
    if policy.implied_default:
        yield (
            "`default` is missing, which allows tools that are not listed: written as `default: allow`,"
            " and records no longer say `(intercept default allow)`"
        )
    elif policy.format == 3:  # noqa: PLR2004 - the number of the format
        yield f"tools that are not listed: `default: {policy.default}`"
    old = next((rule.id for rules in policy.tools.values() for rule in _rules(rules)), None)
    old = old or next((limit.id for rules in policy.tools.values() for limit in rules.limits), None)
    if old is not None:
        yield f"rules get other ids: records, `explain` and tests no longer say {shown(old)} and the like"


def _rules(rules: ToolRules) -> tuple[Rule, ...]:
    return (*rules.require, *rules.deny_if, *rules.approve_if)


def _on_tool(rules: ToolRules) -> Iterator[tuple[str, str]]:
    for rule in (*rules.require, *rules.approve_if):
        if any(_by_text(each) for each in rule.conditions):
            yield rule.id, "compares numeric text as Intercept does: written as `numeric_text: true`"
    for rule in rules.approve_if:
        if any(isinstance(each, AnyOf) for each in rule.conditions):
            yield rule.id, "asks for approval also where the argument is absent: written with `exists`"
    if rules.approval is not None:
        seconds = rules.approval.timeout_seconds
        yield (
            rules.approval.id,
            f"how long a request lives: `approval: {{timeout: {length(seconds)}}}` of the tool",
        )
    for limit in rules.limits:
        for message in _on_limit(limit):
            yield limit.id, message


def _by_text(found: Condition) -> bool:
    if isinstance(found, AnyOf):
        return any(_by_text(each) for each in found.conditions)
    return isinstance(found, Test) and found.numeric_text


def _on_limit(limit: Limit) -> Iterator[str]:
    if limit.window is not None and limit.window.calendar:
        yield "counts on the UTC clock as Intercept does, without sliding: written as `align: calendar`"
    if limit.cost_constant != 1:
        yield f"each call counts {limit.cost_constant}: written as `cost: {limit.cost_constant}`"


def notes_on_numbers(node: Node, file: str) -> list[Note]:
    """Numbers of a YAML text that JSON spells otherwise."""
    found: list[Note] = []
    pending: list[Node] = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, ListNode):
            pending += current.items
        elif isinstance(current, MapNode):
            pending += [entry.value for entry in current.entries]
        elif current.is_number and in_json(current) != current.text:
            message = f"the number {shown(current.text)} is now spelt `{in_json(current)}`"
            found.append(Note(Place(file, current.line, current.column), message))
    return sorted(found, key=lambda note: (note.place.line, note.place.column))


def notes_on_approvals(node: MapNode, file: str) -> list[Note]:
    """Settings of Intercept's that have no effect here and are left out."""
    entry = next((each for each in node.entries if each.key == "approvals"), None)
    if entry is None or not isinstance(entry.value, MapNode):
        return []
    left = [each for each in entry.value.entries if each.key == "dedupe_window"]
    message = "`dedupe_window` is left out: identical calls always join the request that waits"
    return [Note(Place(file, each.line, each.column), message) for each in left]


def names_of_rules(node: MapNode) -> dict[str, str]:
    """The `name` of each rule of format 2, by the rule's id: format 4 keeps it as `$comment`."""
    found: dict[str, str] = {}
    tools = node.get("tools")
    for tool in tools.entries if isinstance(tools, MapNode) else ():
        rules = tool.value.get("rules") if isinstance(tool.value, MapNode) else None
        for index, rule in enumerate(rules.items if isinstance(rules, ListNode) else ()):
            name = rule.get("name") if isinstance(rule, MapNode) else None
            if isinstance(name, Scalar) and isinstance(name.value, str):
                found[f"{child('/tools', tool.key)}/rules/{index}"] = name.value
    return found
