"""What decision tests share: reading cases, and making the package's own values from them."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from ostiary.policy.compile import Compiled, compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Decision, Question
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.policy.load import load_text

CASES = Path(__file__).parent / "cases"


def arguments_of(text: str) -> dict[str, Any]:
    """Parse as the wire does: a float only where its text is its own repr."""

    def number(raw: str) -> float | Decimal:
        return float(raw) if repr(float(raw)) == raw else Decimal(raw)

    return json.loads(text, parse_float=number)


def compiled_from(policy: object) -> Compiled:
    """Load and compile a policy written as JSON."""
    document, diagnostics = load_text(json.dumps(policy).encode(), file="x.json")
    assert document is not None, [f"{item.code}: {item.message}" for item in diagnostics]
    assert document.single is not None
    return compile_policy(document.single)


def catalogue_of(tools: list[Any] | None, drifted: list[str]) -> Catalogue | None:
    """Definitions from names or from objects with `name` and `inputSchema`."""
    if tools is None:
        return None
    named = [{"name": item} if isinstance(item, str) else item for item in tools]
    return Catalogue(
        {item["name"]: definition(item["name"], item.get("inputSchema")) for item in named},
        frozenset(drifted),
    )


def definition(name: str, schema: object) -> ToolDefinition:
    """A definition with a digest of its own."""
    raw = json.dumps([name, schema], sort_keys=True).encode()
    return ToolDefinition(name, "sha256:" + hashlib.sha256(raw).hexdigest(), schema, raw)


def decide_case(case: dict[str, Any]) -> Decision:
    """Decide a case as the gate would."""
    compiled = None if case["policy"] is None else compiled_from(case["policy"])
    question = Question(
        tool=case["tool"],
        arguments=arguments_of(case["arguments"]),
        catalogue=catalogue_of(case.get("tools"), case.get("drifted", [])),
        stopped=case.get("stopped", False),
        locked=case.get("locked", False),
    )
    return decide(compiled, question)


def decision_cases() -> list[dict[str, Any]]:
    """Every hand-written decision, from files that hold `cases`."""
    found: list[dict[str, Any]] = []
    for file in sorted(CASES.glob("*.json")):
        found += json.loads(file.read_text()).get("cases", [])
    return found


def condition_rows() -> list[tuple[str, str, dict[str, Any], str, str]]:
    """Every hand-written condition: clause, name, condition, arguments, outcome."""
    found: list[tuple[str, str, dict[str, Any], str, str]] = []
    for file in sorted(CASES.glob("conditions_*.json")):
        sheet = json.loads(file.read_text())
        found += [(sheet["clause"], *row) for row in sheet["rows"]]
    return found


def method_sheet() -> dict[str, Any]:
    """The hand-written decisions on other methods."""
    return json.loads((CASES / "methods_p6.json").read_text())
