"""A second opinion on event streams: the standard's own steps (WHATWG HTML, 9.2.6), on whole streams."""

from __future__ import annotations

import re
from typing import NamedTuple


class Dispatched(NamedTuple):
    """What an EventSource would hand to a page, with the id and retry of its own block."""

    data: bytes | None
    event: str
    id: bytes | None
    retry: int | None


def blocks(stream: bytes) -> list[Dispatched]:
    """Every block that a blank line ends, in order; `data` is None where nothing is dispatched."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    lines.pop()  # what follows the last line end is not a line yet
    found: list[Dispatched] = []
    data: list[bytes] = []
    event, own_id, retry = b"", None, None
    for line in lines:
        if not line:
            joined = b"\n".join(data) if data else None
            found.append(Dispatched(joined, event.decode("utf-8", "replace") or "message", own_id, retry))
            data, event, own_id, retry = [], b"", None, None
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            event = value
        elif field == b"id" and b"\0" not in value:
            own_id = value
        elif field == b"retry" and re.fullmatch(rb"[0-9]{1,9}", value):
            retry = int(value)
    return found
