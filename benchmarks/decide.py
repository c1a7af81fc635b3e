"""Median microseconds of one decision.

Run with `python benchmarks/decide.py`. The first line is the budget's own case: 400 bytes of
arguments, three conditions, one schema, two counters; patterns and readers have lines of their own.
"""

from __future__ import annotations

import json
import statistics
import time
from decimal import Decimal

from ostiary.policy.compile import compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.policy.model import Limit, Policy, Rule, Test, ToolRules, Validation, Window

ARGUMENTS: dict[str, object] = {
    "path": "/srv/app/reports/2026/summary.txt",
    "content": "x" * 220,
    "mode": "append",
    "retries": 3,
    "ratio": 0.25,
    "labels": ["a", "b", "c"],
    "owner": {"team": "data", "id": 12},
    "url": "https://api.example.org/v1",
}
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "maxLength": 400},
        "content": {"type": "string"},
        "mode": {"enum": ["append", "create"]},
        "retries": {"type": "integer", "minimum": 0},
        "ratio": {"type": "number"},
        "labels": {"type": "array", "items": {"type": "string"}},
        "owner": {"type": "object", "properties": {"team": {"type": "string"}, "id": {"type": "integer"}}},
        "url": {"type": "string"},
    },
    "required": ["path", "content"],
}
PLAIN = (
    Test(("mode",), "in", ("append", "create")),
    Test(("retries",), "lte", Decimal(5)),
    Test(("owner", "team"), "eq", "data"),
)
COUNTERS = (
    Limit("/tools/write/limits/0", "calls", Window(60), 10),
    Limit("/tools/write/limits/1", "daily", Window(86400), 500),
)
CASES: dict[str, ToolRules] = {
    "three conditions, schema, two counters": ToolRules(
        require=tuple(Rule(f"/r/{index}", (test,)) for index, test in enumerate(PLAIN)),
        limits=COUNTERS,
        validation=Validation("/v", schema=True),
    ),
    "nothing but listed": ToolRules(),
    "three conditions": ToolRules(require=(Rule("/r", PLAIN),)),
    "schema": ToolRules(validation=Validation("/v", schema=True)),
    "one regex": ToolRules(require=(Rule("/r", (Test(("path",), "regex", "^/srv/[a-z/0-9]+"),)),)),
    "one path_within": ToolRules(require=(Rule("/r", (Test(("path",), "path_within", "/srv/app"),)),)),
    "one host_in": ToolRules(require=(Rule("/r", (Test(("url",), "host_in", "*.example.org"),)),)),
    "cost from arguments": ToolRules(limits=(Limit("/l", "c", Window(60), 9, cost=("retries",)),)),
    "denied by a rule": ToolRules(deny_if=(Rule("/d", (Test(("mode",), "eq", "append"),)),)),
}


def median_us(rules: ToolRules, rounds: int = 200, calls: int = 50) -> float:
    """The median over `rounds` of the mean time of `calls` decisions, in microseconds."""
    compiled = compile_policy(Policy(format=4, default="deny", tools={"write": rules}))
    definition = ToolDefinition("write", "sha256:benchmark", SCHEMA)
    question = Question("write", ARGUMENTS, catalogue=Catalogue({"write": definition}))
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            decide(compiled, question)
        times.append((time.perf_counter() - start) / calls * 1e6)
    return statistics.median(times)


def main() -> None:
    """Print one line for each case."""
    print(f"arguments: {len(json.dumps(ARGUMENTS, separators=(',', ':')))} bytes")
    for name, rules in CASES.items():
        print(f"{median_us(rules):8.2f} us  {name}")


if __name__ == "__main__":
    main()
