"""Median cost of the strict parse and of reading a whole message, in microseconds.

Run: `python benchmarks/parse.py`. Budget for the strict parse: 5 us at 400 B and 40 us at 4 kB
for canonical text, 10 and 150 us for any other.
"""

from __future__ import annotations

import json
import statistics
import sys
import timeit

import msgspec

from ostiary.wire.envelope import read_message
from ostiary.wire.strict import parse_json

ROUNDS = 15
CALLS = 2000


def message(size: int) -> dict[str, object]:
    """A tools/call of about `size` bytes: nested arguments, text, integers, fractions."""
    rows: list[object] = []
    arguments: dict[str, object] = {
        "query": "quarterly report on widgets",
        "limit": 10,
        "filters": {"author": "someone", "tags": ["a", "b"], "since": "2026-01-01"},
        "threshold": 0.75,
        "rows": rows,
    }
    call: dict[str, object] = {
        "jsonrpc": "2.0",
        "id": 17,
        "method": "tools/call",
        "params": {"name": "search_documents", "arguments": arguments, "_meta": {"progressToken": "t-1"}},
    }
    while len(msgspec.json.encode(call)) < size - 80:
        number = len(rows)
        rows.append({"id": number, "title": f"row number {number}", "score": number / 7, "tags": ["x", "y"]})
    arguments["pad"] = "x" * max(0, size - len(msgspec.json.encode(call)) - 9)
    return call


def median(statement: str, data: bytes) -> float:
    """Median microseconds of one call."""
    names = {"parse_json": parse_json, "read_message": read_message, "data": data}
    times = timeit.repeat(statement, globals=names, number=CALLS, repeat=ROUNDS)
    return statistics.median(times) / CALLS * 1e6


def main() -> None:
    """Print one line per size and spelling."""
    out = sys.stdout.write
    out(f"{'text':<22}{'bytes':>7}{'parse_json':>12}{'read_message':>14}\n")
    for size in (400, 4000):
        call = message(size)
        for name, data in (
            ("canonical", msgspec.json.encode(call)),
            ("not canonical", json.dumps(call).encode()),
        ):
            parse, read = median("parse_json(data)", data), median("read_message(data)", data)
            out(f"{name + f' {size} B':<22}{len(data):>7}{parse:>12.2f}{read:>14.2f}\n")


if __name__ == "__main__":
    main()
