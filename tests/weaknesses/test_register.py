"""Weaknesses W1 to W51 of a gateway that was studied, and where each is tested.

Tests name their weakness in the docstring. Those that concern what this gate does not have are
in `ABSENT`, with the reason; whoever adds the feature adds the test.

| file | weaknesses |
| --- | --- |
| `test_calls.py` | W1-W10, W12-W16: ways past a policy |
| `test_limits.py` | W17-W27: quota arithmetic |
| `test_lists.py` | W28-W32, W46: hidden tools that are seen |
| `test_transport.py` | W33-W37, W39-W43: listeners, streams, endings |
| `test_operation.py` | W44-W48: policies, reload, records |
| `test_corpus_through_the_gate.py` | W4, W6, W36: every refused input, over HTTP and stdio |
| `test_hostile_upstreams.py`, `test_hostile_clients.py` | attacks of our own |
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ABSENT = {
    11: "no rules about the content of answers exist yet",
    38: "the transport of revision 2024-11-05 (HTTP and SSE) is not spoken yet",
    49: "`status` reads instance files, tested with the command line; there is no log to scan",
    50: "nothing is downloaded at installation: there is no npm package",
    51: "there is no admin plane yet; identity, records and metrics are tested on their own",
}


def test_every_weakness_is_tested_or_said_to_be_absent() -> None:
    """The register has no gap."""
    named: set[int] = set()
    for file in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                named |= {int(one) for one in re.findall(r"\bW(\d+)\b", ast.get_docstring(node) or "")}
    assert named | set(ABSENT) == set(range(1, 52))
    assert not named & set(ABSENT)
