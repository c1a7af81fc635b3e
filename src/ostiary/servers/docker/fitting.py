"""A reply in the first of several shapes that is short enough. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.docker.exec_replies import COMPACT

Data = dict[str, Any]
Shape = Callable[[], tuple[Data, str]]
"""Makes the data and the words of a reply."""


def fitting(shapes: Sequence[Shape], *, compact: bool) -> ToolResult:
    """The first shape whose data is at most `COMPACT` characters of JSON, or the last, the shortest.

    Without `compact` the first whatever its length: nothing is left out that was not asked for.
    """
    data: Data = {}
    words = ""
    for shape in shapes:
        data, words = shape()
        if not compact or len(msgspec.json.encode(data)) <= COMPACT:
            break
    return ToolResult((text(words),), data)
