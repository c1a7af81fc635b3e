"""From the bytes of a tests file to the calls it makes, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from ostiary.policy.diagnostic import PolicyError
from ostiary.policy.formats.draft import Draft
from ostiary.policy.formats.fields import Fields
from ostiary.policy.load import tree_into
from ostiary.policy.model import Place
from ostiary.policy.source import MapNode, SourceFault, Spot
from ostiary.policy.testing.matrix import (
    Binding,
    Budget,
    TooLarge,
    bindings,
    bound,
    bound_text,
    check_variables,
    json_value,
)
from ostiary.policy.testing.table import TESTS

Expected = Literal["allow", "deny", "hold"]


@dataclass(frozen=True, slots=True)
class Case:
    """One call and the decision it must get. `server` None: the policy's only one."""

    name: str
    place: Place
    tool: str
    arguments: Mapping[str, object]
    expect: Expected
    grant: str = "local"
    server: str | None = None
    rule: str | None = None
    because: str | None = None


@dataclass(frozen=True, slots=True)
class TestFile:
    """A tests file that was read. `tools` names the file of advertised schemas, with its place."""

    __test__ = False  # not a pytest class

    file: str
    cases: tuple[Case, ...]
    tools: str | None = None
    tools_place: Place | None = None


def read_tests(raw: bytes, *, file: str) -> TestFile:
    """The calls of a tests file, read as strictly as a policy. Raises PolicyError with every problem."""
    draft = Draft(file)
    found = TestFile(file, ())
    try:
        node = tree_into(draft, raw)
        if isinstance(node, MapNode):
            found = _document(draft, node)
        else:
            message = "the document is empty" if node is None else "a tests file is a mapping"
            draft.error("empty-document", message, node or Spot(1, 1), "it holds `tests`, a list")
    except SourceFault as fault:
        draft.error(fault.code, fault.message, fault.at, fault.hint)
    if draft.failed:
        raise PolicyError(sorted(draft.diagnostics, key=lambda each: (each.line, each.column, each.code)))
    return found


def _document(draft: Draft, node: MapNode) -> TestFile:
    fields = Fields(draft, node, TESTS["document"])
    budget = Budget()
    cases: list[Case] = []
    for _, test in fields.tables("tests"):
        cases += _test(draft, test, budget)
    at = fields.spot("tools")
    return TestFile(draft.file, tuple(cases), fields.text("tools"), Place(draft.file, at.line, at.column))


def _test(draft: Draft, node: MapNode, budget: Budget) -> list[Case]:
    """Every call of one test; none after a problem."""
    fields = Fields(draft, node, TESTS["test"])
    principal = fields.table("principal")
    inner = None if principal is None else Fields(draft, principal, TESTS["principal"])
    check_variables(draft, fields)
    found = bindings(draft, fields, budget)
    name, tool, expect = fields.text("name"), fields.text("tool"), fields.text("expect")
    if draft.failed or name is None or tool is None or expect is None:
        return []
    if budget.cases < 0:
        raise SourceFault("matrix-too-large", "more than 10,000 calls in one file", node)
    args = fields.node("args")
    first = Case(
        name=name,
        place=Place(draft.file, node.line, node.column),
        tool=tool,
        arguments={} if args is None else cast("dict[str, object]", json_value(args)),
        expect=cast("Expected", expect),
        grant=(inner.text("grant") if inner is not None else None) or "local",
        server=fields.text("server"),
        rule=fields.text("rule"),
        because=fields.text("because"),
    )
    if "matrix" not in fields:
        return [first]
    try:
        return list(_combined(first, found, budget))
    except TooLarge:
        message = "the matrices of this file make more than can be tested"
        raise SourceFault("matrix-too-large", message, fields.spot("matrix")) from None


def _combined(first: Case, found: Iterator[Binding], budget: Budget) -> Iterator[Case]:
    for number, binding in enumerate(found, 1):
        name = bound_text(first.name, binding, budget)
        yield Case(
            name=f"{name} [{number}]" if name == first.name else name,
            place=first.place,
            tool=bound_text(first.tool, binding, budget),
            arguments=cast("dict[str, object]", bound(first.arguments, binding, budget)),
            expect=first.expect,
            grant=first.grant,
            server=first.server,
            rule=first.rule,
            because=first.because,
        )
