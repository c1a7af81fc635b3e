"""Every HTTP case has its tests, in each role that the gate plays in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent

BOTH = {"server", "client"}
CASES: dict[int, tuple[str, set[str]]] = {
    1: ("length and transfer coding together", BOTH),
    2: ("lengths that are repeated or no plain number", BOTH),
    3: ("transfer codings other than exactly `chunked`", BOTH),
    4: ("malformed chunks, trailers, bytes after the last chunk", BOTH),
    5: ("malformed header lines", BOTH),
    6: ("heads over their limits", BOTH),
    7: ("bodies over their limit", BOTH),
    8: ("slow heads and bodies, idle connections", BOTH),
    9: ("pipelined requests", {"server"}),  # the gate itself never pipelines: see 16 and 17
    10: ("expectations and interim answers", BOTH),
    11: ("methods and targets that are not served", {"server"}),
    12: ("Host and Origin", {"server"}),
    13: ("half-closed peers", BOTH),
    14: ("clients that go away", {"server"}),
    15: ("resets before an answer", {"client"}),
    16: ("kept connections that the upstream closes", {"client"}),
    17: ("answers that are early, interim, or longer than they say", {"client"}),
    18: ("bodies without length, in chunks, compressed", {"client"}),
    19: ("back-pressure", BOTH),
    20: ("event streams, wherever they are cut", {"client"}),
    21: ("late answers", {"client"}),
    22: ("too many connections, no descriptors left", {"server"}),
    23: ("TLS", BOTH),
    24: ("the end of the gate", BOTH),
    25: ("header hygiene", BOTH),
    26: ("sockets that send at once and watch their peer", BOTH),
}
"""By number: what it is about, and whether the hostile peer is a client (the gate is the server), an
upstream (the gate is the client), or either."""

ELSEWHERE = {
    "proxy/test_accept.py": "server",
    "proxy/test_tls.py": "server",
    "proxy/test_upstream_tls.py": "client",
    "http_cases/test_scale.py": "server",
}
"""Tests that stand beside their subject, or in no folder of one role."""


def named() -> dict[tuple[int, str], list[str]]:
    """The tests that name each case in their docstring, by case and role."""
    files = [(path, path.parent.name) for role in BOTH for path in (HERE / role).glob("test_*.py")]
    files += [(HERE.parent / name, role) for name, role in ELSEWHERE.items()]
    found: dict[tuple[int, str], list[str]] = {}
    for path, role in files:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for number in re.findall(r"HTTP case (\d+)", ast.get_docstring(node) or ""):
                    found.setdefault((int(number), role), []).append(f"{path.name}::{node.name}")
    return found


def test_every_case_is_tested_in_every_role_it_has() -> None:
    wanted = {(number, role) for number, (_, roles) in CASES.items() for role in roles}

    assert sorted(CASES) == list(range(1, 27))
    assert sorted(wanted - named().keys()) == []


def test_no_test_names_a_case_that_does_not_exist() -> None:
    assert sorted({number for number, _ in named()} - CASES.keys()) == []


def test_no_parameter_of_a_table_is_left_without_a_test() -> None:
    """Each case of a table of hostile bytes is used by a test of that case."""
    from ostiary.proxy.http.request import Limits
    from tests.http_cases.client.test_answers import WRONG
    from tests.http_cases.refused import by_case

    tested = named()

    assert [one for one in by_case(Limits()) if (one, "server") not in tested] == []
    assert [one for one in WRONG if (one, "client") not in tested] == []
