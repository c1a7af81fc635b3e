"""Pieces of HTML. All text goes through `shown` or `said`, so that none of it is ever markup."""

from __future__ import annotations

from html import escape
from typing import Final

from ostiary.registry.change import printable
from ostiary.scan.report.view import short

MAX_TEXT: Final = 4_000
"""Characters of one text of a server that a page has; the JSON report has more."""


def shown(text: str) -> str:
    """A text on one line, without characters that hide, as HTML."""
    return escape(printable(text))


def name(text: str) -> str:
    """A name as code that does not disturb the direction of what is around it."""
    return f'<bdi class="name"><code>{escape(short(text))}</code></bdi>'


def said(text: str) -> str:
    """What a server wrote, with its line ends, cut where it becomes too long."""
    cut = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return f'<bdi class="said">{escape(_lines(cut))}</bdi>'


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.replace("\r\n", "\n").split("\n")))


def badge(word: str, kind: str = "") -> str:
    """A word in the colour of its severity."""
    return f'<span class="badge {kind or word}">{escape(word)}</span>'


def facts(rows: list[tuple[str, str]]) -> str:
    """Pairs of a plain word and HTML; those without HTML are left out."""
    inner = "".join(f"<dt>{escape(word)}</dt><dd>{html}</dd>" for word, html in rows if html)
    return f'<dl class="facts">{inner}</dl>'


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table of HTML cells. A head that ends with `#` is that of a column of numbers."""
    numbers = [head.endswith("#") for head in heads]
    plain = [escape(head.rstrip("#")) for head in heads]
    classes = [' class="n"' if number else "" for number in numbers]
    top = "".join(f"<th{kind}>{head}</th>" for head, kind in zip(plain, classes, strict=True))
    body = "".join(
        "<tr>"
        + "".join(
            f'<td{kind} data-of="{head}">{cell}</td>' if cell else "<td></td>"
            for cell, head, kind in zip(row, plain, classes, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def bar(parts: tuple[tuple[str, int], ...]) -> str:
    """Shares as one bar; each part has the colour of its word."""
    total = sum(number for _, number in parts) or 1
    at, pieces = 0.0, ""
    for word, number in parts:
        width = number * 100 / total
        pieces += f'<rect class="fill-{word}" x="{at:.2f}" width="{width:.2f}" height="1"/>'
        at += width
    label = escape(", ".join(f"{number} {word}" for word, number in parts))
    return (
        f'<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f"{pieces}</svg>"
    )
