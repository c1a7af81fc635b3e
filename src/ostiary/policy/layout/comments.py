"""The comments of a YAML text, and what each belongs to.

A comment on a line of its own belongs to what follows it, unless it is indented like what stands
before: then it ends that group. A comment behind something belongs to that. Empty lines are kept
between items, one at a time. The text was read by `yaml_source` before, so it is YAML.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from ostiary.policy.layout.piece import Group, Item, Leaf, flattened

_BLOCK_HEADER = re.compile(r"([|>][-+]?)(?:[ \t]+(#.*))?")
_ONLY_DASHES = re.compile(r"[ \t-]*")

Spot = tuple[int, int]
"""Line and column, from 1."""


class Comment(NamedTuple):
    """One comment. `alone`: nothing stands before it on its line."""

    line: int
    column: int
    text: str
    alone: bool


class Scan:
    """What the events of a text say and its tree does not: where values end, raw blocks, comments.

    `opening` are the lines `%YAML 1.2` and `---`, where the author wrote them.
    """

    def __init__(self, text: str) -> None:
        text = text.replace("\r\n", "\n").replace("\r", "\n")  # as YAML counts lines
        self.text = text
        self.ends: dict[Spot, Spot] = {}
        self.flows: dict[Spot, Spot] = {}
        self.blocks: dict[Spot, str] = {}
        self.opening: tuple[str, ...] = ()
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._spans: list[tuple[int, int]] = []
        self._opened: list[Spot] = []
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            start, end = event.start_mark, event.end_mark
            if start is not None and end is not None:
                self._take(event, (start.line + 1, start.column + 1), (end.line + 1, end.column + 1))

    def _take(self, event: yaml.Event, at: Spot, until: Spot) -> None:
        if isinstance(event, yaml.ScalarEvent):
            start, end = (self._starts[line - 1] + column - 1 for line, column in (at, until))
            self._spans.append((start, end))
            if event.style in {"|", ">"}:
                self.blocks[at] = self.text[start:end]
            elif end > start:
                self.ends[at] = until
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._opened.append(at if event.flow_style else (0, 0))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.flows[self._opened.pop()] = until
        elif isinstance(event, yaml.DocumentStartEvent) and event.explicit:
            self.opening = (*(("%YAML 1.2",) if event.version else ()), "---")

    def comments(self) -> Iterator[Comment]:
        """In the order of the text. Between scalars a `#` always begins one, in a block behind its header."""
        at = 0
        for start, end in [*self._spans, (len(self.text), len(self.text))]:
            yield from self._in_gap(at, start)
            at = max(at, end)
            header = self.text[start:end].partition("\n")[0].rstrip()
            found = _BLOCK_HEADER.fullmatch(header)
            if found is not None and found[2]:
                yield self._comment(start + found.start(2), found[2])

    def _in_gap(self, at: int, until: int) -> Iterator[Comment]:
        while (found := self.text.find("#", at, until)) >= 0:
            end = self.text.find("\n", found)
            at = len(self.text) if end < 0 else end
            yield self._comment(found, self.text[found:at].rstrip())

    def _comment(self, at: int, words: str) -> Comment:
        line = bisect_right(self._starts, at)
        begins = self._starts[line - 1]
        return Comment(line, at - begins + 1, words, alone=not self.text[begins:at].strip())

    def is_empty(self, line: int) -> bool:
        """Whether nothing stands on `line`."""
        return line >= 1 and not self._line(line).strip()

    def begins(self, spot: Spot) -> bool:
        """Whether nothing but dashes stands before `spot` on its line."""
        return _ONLY_DASHES.fullmatch(self._line(spot[0])[: spot[1] - 1]) is not None

    def _line(self, line: int) -> str:
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return self.text[self._starts[line - 1] : end]


def attach(text: str, root: Group) -> tuple[str, ...]:
    """Give every comment and empty line of `text` its place in `root`; returns the lines above it."""
    scan = Scan(text)
    placing = _Placing(scan, root)
    for comment in scan.comments():
        placing.put(comment)
    header = placing.finish()
    return (*scan.opening, *header)


class _Placing:
    """Finds the place of each comment, in the order of the text."""

    def __init__(self, scan: Scan, root: Group) -> None:
        self._scan = scan
        self._root = root
        self._order = list(flattened(root))
        self._next = 0
        self._on_line: dict[int, list[int]] = {}
        self._owners = {id(item.value): item for item, _ in self._order}
        root.flow = (root.line, root.column) in scan.flows
        for index, (item, _) in enumerate(self._order):
            self._enrich(item)
            end = self._end(item)
            for line in {item.line, *(() if end is None else (end[0],))}:
                self._on_line.setdefault(line, []).append(index)

    def _enrich(self, item: Item) -> None:
        if isinstance(item.value, Group):
            item.value.flow = (item.value.line, item.value.column) in self._scan.flows
        else:
            raw = self._scan.blocks.get((item.value.node.line, item.value.node.column))
            item.value.block = () if raw is None else _block_lines(raw)

    def _end(self, item: Item) -> Spot | None:
        """Where the value ends; None for what goes on for as long as it is indented."""
        if isinstance(item.value, Leaf):
            return self._scan.ends.get((item.value.node.line, item.value.node.column))
        return self._scan.flows.get((item.value.line, item.value.column)) if item.value.flow else None

    def put(self, comment: Comment) -> None:
        """Give `comment`, which follows all those before it, to an item or a group."""
        at = (comment.line, comment.column)
        while self._next < len(self._order) and _spot(self._order[self._next][0]) < at:
            self._next += 1
        if not comment.alone and self._behind(comment):
            return
        target = self._ending(comment)
        if target is None:
            known = self._next < len(self._order)
            target = self._order[self._next][0].before if known else self._root.after
        if comment.alone and self._scan.is_empty(comment.line - 1):
            target.append("")
        target.append(comment.text)

    def _behind(self, comment: Comment) -> bool:
        """Put a comment beside the outermost item that ends on its line, else the last that begins there."""
        here = [self._order[index] for index in self._on_line.get(comment.line, ()) if index < self._next]
        until = (comment.line, comment.column)
        ended = [each for each in here if (end := self._end(each[0])) and end[0] == until[0] and end <= until]
        if ended:
            depth = min(len(around) for _, around in ended)
            item = next(each for each, around in reversed(ended) if len(around) == depth)
        elif here:
            item = here[-1][0]
        else:
            return False
        if item.beside:
            item.before.append(comment.text)
        item.beside = item.beside or comment.text
        return True

    def _ending(self, comment: Comment) -> list[str] | None:
        """The lines behind the group that `comment` ends, or None when it begins something."""
        if self._next == 0:
            return None
        item, parents = self._order[self._next - 1]
        around = (*parents, item.value) if isinstance(item.value, Group) else parents
        following = self._order[self._next][1] if self._next < len(self._order) else ()
        at = (comment.line, comment.column)
        inside = [
            group for group in around if group.flow and at < self._scan.flows[(group.line, group.column)]
        ]
        if inside:
            return None if any(inside[-1] is group for group in following) else self._after(inside[-1])
        floor = following[-1].column if following else 0
        groups = [each for each in around if not each.flow and floor < each.column <= comment.column]
        if not groups:
            return None
        deepest = max(group.column for group in groups)
        return next(group.after for group in groups if group.column == deepest)

    def _after(self, group: Group) -> list[str]:
        """The lines behind a group in brackets; an empty one has no place for them."""
        owner = self._owners.get(id(group))
        return owner.before if owner is not None and not group.items else group.after

    def finish(self) -> tuple[str, ...]:
        """Place the empty lines; returns the comments that speak about the whole document."""
        last = 0
        for item, _ in self._order:
            if item.line != last and self._scan.begins(_spot(item)) and self._scan.is_empty(item.line - 1):
                item.before.append("")
            last = item.line
            item.before = _tidy(item.before)
        return _header(self._order[0][0])


def _spot(item: Item) -> Spot:
    return (item.line, item.column)


def _tidy(lines: list[str]) -> list[str]:
    """At most one empty line in a row."""
    return [line for last, line in zip(["#", *lines], lines, strict=False) if line or last]


def _header(first: Item) -> tuple[str, ...]:
    """Comments at the top with an empty line behind them."""
    if "" not in first.before[1:]:
        return ()
    split = len(first.before) - first.before[::-1].index("")
    header, first.before = first.before[: split - 1], first.before[split:]
    return tuple(header[1:] if header[:1] == [""] else header)


def _block_lines(raw: str) -> tuple[str, ...]:
    """The lines of a block scalar without their indent; none when they cannot simply be moved."""
    header, *lines = (line.removesuffix("\r") for line in raw.split("\n"))
    found = _BLOCK_HEADER.fullmatch(header.rstrip())
    while lines and not lines[-1]:
        lines.pop()
    if found is None or found[1].endswith("+") or not lines or not lines[0].strip():
        return ()
    indent = len(lines[0]) - len(lines[0].lstrip(" "))
    if any(line and (not line.strip() or line[:indent].strip(" ")) for line in lines):
        return ()  # spaces on an empty line, or a line that is indented less
    return (found[1], *(line[indent:] for line in lines))
