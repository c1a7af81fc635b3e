"""What `logs` answers, from what a container has written. Pure."""

from __future__ import annotations

import re
from typing import Final

from ostiary.sandbox.containers.found import Logged
from ostiary.servers.core.content import ToolResult
from ostiary.servers.docker.exec_replies import COMPACT, plain
from ostiary.servers.docker.fitting import Data, fitting

_STAMPED: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?)\s(.*)", re.DOTALL
)


def logged(found: Logged, *, limit: int | None = None, compact: bool = True) -> ToolResult:
    """The answer of `logs`: at most `limit` lines, the first ones.

    Shorter shapes leave out what is said twice, then the lines in the middle.
    """
    streams = [_lines(found.stdout), _lines(found.stderr)]
    every = streams[0] + streams[1]
    lines = every if limit is None else every[:limit]
    cut = found.truncated or len(lines) < len(every)
    entries = [_entry(line) for line in lines]
    counts = f" [stdout={len(streams[0])}, stderr={len(streams[1])}]" if every else ""
    header = f"{len(lines)} lines{' (truncated)' if cut else ''}{counts}"
    note: Data = {"isTruncated": True} if cut else {}

    def full() -> tuple[Data, str]:
        data: Data = {"lines": lines} | ({"entries": entries} if entries else {}) | note
        data |= {
            name: part for name, part in zip(("stdoutLines", "stderrLines"), streams, strict=True) if part
        }
        return data, "\n".join([header, *lines])

    def once() -> tuple[Data, str]:
        return {"lines": lines} | note, "\n".join([header, *lines])

    def ends() -> tuple[Data, str]:
        head, tail = _ends(lines)
        left_out = len(lines) - len(head) - len(tail)
        data: Data = {"head": head, "tail": tail, "isTruncated": True}
        return data, "\n".join([header, *head, f"  ... {left_out} lines omitted ...", *tail])

    return fitting((full, once, ends), compact=compact)


def _lines(written: bytes) -> list[str]:
    """Lines with something in them, as the engine's client separates them."""
    return [line.removesuffix("\r") for line in plain(written.decode("utf-8", "replace")).split("\n") if line]


def _entry(line: str) -> Data:
    stamped = _STAMPED.fullmatch(line)
    return {"timestamp": stamped[1], "message": stamped[2]} if stamped else {"message": line}


def _ends(lines: list[str]) -> tuple[list[str], list[str]]:
    """As many lines of the beginning and of the end as fit into half of a compact reply each."""
    head = _within(lines, COMPACT // 2) or [line[: COMPACT // 2] for line in lines[:1]]
    tail = _within(lines[len(head) :][::-1], COMPACT // 2)[::-1]
    return head, tail


def _within(lines: list[str], most: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        most -= len(line) + 4
        if most < 0:
            break
        kept.append(line)
    return kept
