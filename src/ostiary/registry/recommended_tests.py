"""The calls that a recommended policy has to decide as it was meant to: a tests file beside it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from ostiary.policy.definition import ToolDefinition
from ostiary.policy.formats.draft import child
from ostiary.policy.schema import SchemaError, advertised
from ostiary.policy.twins import fold
from ostiary.registry.change import named
from ostiary.registry.recommended_arguments import calls, label
from ostiary.registry.recommended_plan import Plan
from ostiary.registry.recommended_text import NOTE, size_of, tests_yaml

MAX_CALLS: Final = 9_000
MAX_CHARACTERS: Final = 700_000
MAX_VALUES: Final = 150_000
MAX_EXPANDED: Final = 3_000_000
"""Characters of the calls that are written in short, once their variables are filled in."""

_LONG: Final = 400
_PIECE: Final = "x" * 200
_EXPECTED: Final = {"allow": "allow", "approve": "hold", "deny": "deny", "hide": "deny"}

Test = Mapping[str, object]


def tests_of(plans: Sequence[Plan], listed: frozenset[str], hidden: frozenset[str], *, short: bool) -> str:
    """A tests file: for each tool a usual call, then a call beyond each bound, and a tool that is not there.

    `listed` are the tools of the policy, `hidden` the names under `hide`; `short`: all bounds of a
    tool stand in one rule. What would make the file too long to load is left out, bounds before usual calls.
    """
    tests: list[Test] = [_unknown(plans)]
    room = _Room()
    usual = [test for plan in plans for test in _usual(plan, listed, hidden)]
    beyond = [test for plan in plans if plan.tool.name in listed for test in _beyond(plan, short=short)]
    for whole in (*usual, *beyond):
        test = in_short(whole)
        if room.holds(test, whole):
            tests.append(test)
    head = ["What this policy has to decide: run `ostiary policy test` on it after every change."]
    if any(bound.asked.placeholder for plan in plans for bound in plan.reading.bounds):
        head.append("Where you put your own folders and hosts into the policy, put them here, too.")
    if len(tests) <= len(usual) + len(beyond):
        head.append("Not every bound is tested: the file would be too long to load.")
    return tests_yaml({NOTE: head, "tests": tests})


class _Room:
    """What a tests file still has room for."""

    def __init__(self) -> None:
        self._left = (MAX_CALLS, MAX_CHARACTERS, MAX_VALUES, MAX_EXPANDED)

    def holds(self, test: Test, whole: Test) -> bool:
        """Whether `test`, which is short for `whole`, fits; it is counted if so."""
        expanded = _length(whole) if "matrix" in test else 0
        used = (1, _length(test), size_of(test), expanded)
        left = tuple(have - taken for have, taken in zip(self._left, used, strict=True))
        if min(left) < 0:
            return False
        self._left = left
        return True


def in_short(test: Test) -> Test:
    """The same call with a long run of one letter as a variable, so that a reader gets past it.

    No text of a server becomes a variable by that: `${` is escaped wherever variables are filled in.
    """
    arguments = test.get("args")
    if not _is_long(arguments):
        return test
    texts = {key: _shortened(test[key]) for key in ("name", "tool", "args")}
    return {**test, **texts, "matrix": {"x": [_PIECE]}}


def _is_long(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_long, cast("Mapping[str, object]", value).values()))
    if isinstance(value, list):
        return any(map(_is_long, cast("list[object]", value)))
    return isinstance(value, str) and len(value) > _LONG and not value.strip("x")


def _shortened(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _shortened(each) for key, each in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list):
        return [_shortened(each) for each in cast("list[object]", value)]
    if not isinstance(value, str):
        return value
    if not _is_long(value):
        return value.replace("${", "$${")
    times, rest = divmod(len(value), len(_PIECE))
    return "${x}" * times + "x" * rest


def _length(value: object) -> int:
    """About as many characters as it takes; escapes and indents are the reason for the margin."""
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value)
        return 2 + sum(
            8 + len(key.encode("utf-8", "replace")) + _length(each) for key, each in members.items()
        )
    if isinstance(value, list):
        return 2 + sum(4 + _length(each) for each in cast("list[object]", value))
    text = str(value)
    return 4 + len(text.encode("utf-8", "replace")) + text.count("'") + text.count('"') + text.count("\\")


def _unknown(plans: Sequence[Plan]) -> Test:
    known = {fold(plan.tool.name) for plan in plans}
    name = "no_such_tool"
    while name in known:
        name += "_either"
    return {
        "name": "a tool that is not listed is refused",
        "tool": name,
        "expect": "deny",
        "rule": "(default deny)",
    }


def _usual(plan: Plan, listed: frozenset[str], hidden: frozenset[str]) -> Iterator[Test]:
    name = plan.tool.name
    if not plan.nameable:
        return
    if name not in listed:
        rule = "(hidden)" if name in hidden else "(default deny)"
        yield {"name": f"{named(name)} is not there", "tool": name, "expect": "deny", "rule": rule}
        return
    words = {
        "allow": "is allowed",
        "approve": "waits for a person",
        "deny": "is refused",
        "hide": "is refused",
    }
    arguments = plan.reading.ordinary
    if plan.effect != "deny" and not _fits(plan.tool, arguments):
        return  # nothing here knows what its schema admits
    test: dict[str, object] = {"name": f"a usual call of {named(name)} {words[plan.effect]}", "tool": name}
    if arguments:
        test["args"] = arguments
    test["expect"] = _EXPECTED[plan.effect]
    if plan.effect in {"approve", "deny"}:
        test["rule"] = child(child("/tools", name), "action")
    yield test | {"because": f"it {plan.reasons[0].text}"}


def _fits(tool: ToolDefinition, arguments: Mapping[str, object]) -> bool:
    """Whether the usual call would pass the tool's own schema, for tests that are run with it."""
    if not isinstance(tool.input_schema, dict):
        return True
    try:
        return advertised(tool).admits(dict(arguments))
    except SchemaError:
        return False


def _beyond(plan: Plan, *, short: bool) -> Iterator[Test]:
    if plan.effect == "deny":
        return
    name = plan.tool.name
    seen: dict[int, int] = {}
    for index, arguments in calls(plan.reading):
        seen[index] = seen.get(index, 0) + 1
        which = f" [{seen[index]}]" if seen[index] > 1 else ""
        bound = plan.reading.bounds[index]
        yield {
            "name": f"{named(name)} refuses what is beyond the bound of {label(bound)}{which}",
            "tool": name,
            "args": arguments,
            "expect": "deny",
            "rule": child(child(child("/tools", name), "require"), 0 if short else index),
            "because": bound.asked.on_deny,
        }
