"""The little Markdown that the documentation tests read: headings and fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<label>.*)$")


@dataclass(frozen=True)
class Fence:
    """A fenced block. `line` is where its text starts, `label` what stands after the back-ticks."""

    file: Path
    line: int
    label: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page a reader may open."""
    return sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])


def fences(page: Path) -> Iterator[Fence]:
    """The fenced blocks of `page`, in order."""
    label: str | None = None
    start, indent, ticks, lines = 0, 0, "", list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        match = _FENCE.match(line)
        if label is None and match:
            label, start, lines = match["label"].strip(), number + 1, []
            indent, ticks = len(match["indent"]), match["ticks"]
        elif label is not None and match and match["ticks"] == ticks and not match["label"].strip():
            yield Fence(page, start, label, "\n".join(lines) + "\n")
            label = None
        elif label is not None:
            lines.append(line[indent:])
    assert label is None, f"{page}:{start}: fenced block is never closed"


def headings(page: Path) -> list[str]:
    """Texts of the headings of `page`, without their marks and back-ticks."""
    inside = False
    found: list[str] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside and line.startswith("#"):
            found.append(line.lstrip("#").strip().replace("`", ""))
    return found
