"""The report for a browser: one file, and no text of a server is ever markup."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.scan.examined import examine
from ostiary.scan.listed import Listed
from ostiary.scan.report.html import html
from ostiary.scan.report.view import Report
from ostiary.scan.scanned import Scanned
from tests.scan.servers import DROP, HOSTILE, LIST, NASTY, POISONED, SECRET, SHELL, server, tool, unreachable

VOID = {"meta"}
OURS = {
    "a", "bdi", "body", "code", "dd", "details", "div", "dl", "dt", "footer", "h1", "h2", "h3", "h4", "head",
    "header", "html", "li", "meta", "p", "pre", "rect", "section", "span", "strong", "style", "summary",
    "svg", "table", "tbody", "td", "th", "thead", "time", "title", "tr", "ul", "mark",
}  # fmt: skip
ATTRIBUTES = {
    "aria-label", "charset", "class", "content", "data-of", "height", "href", "http-equiv", "id", "lang",
    "name", "preserveaspectratio", "role", "viewbox", "width", "x",
}  # fmt: skip


class Page(HTMLParser):
    """The elements, attributes and texts of a page; fails for one that is not well formed."""

    def __init__(self, written: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(written)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data


def page(*scanned: Scanned) -> tuple[str, Page]:
    written = html(Report(servers=examine(scanned), version="9", when="2026-11-20T09:00:00Z"))
    return written, Page(written)


def test_a_page_says_the_essential_of_each_server_and_tool() -> None:
    _, parsed = page(server("db", LIST, DROP, SHELL, POISONED), unreachable("gone"))

    for words in (
        "What 2 MCP servers can do", "1 finding in their texts", "1 server could not be scanned",
        "42 points: 2 x Critical (16) + 1 x Medium (1) + 1 x finding (25)",
        "4: 1 Read, 1 Write, 1 Execute, 1 Destructive", "in every conversation",
        "It ran behind walls, without a network.", "secrecy-order", "drop in name, delete in description",
        "Takes a shell command (`command`)", "MCP02:2025", "sha256:", "95% sure", "no hints, which means",
        "the server ended with status 1", "on 2026-11-20T09:00:00Z",
    ):  # fmt: skip
        assert words in parsed.words, words


def test_a_browser_is_told_to_load_and_run_nothing() -> None:
    written, parsed = page(server("db", LIST, HOSTILE))
    style = re.search(r"<style>(.*?)</style>", written, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = dict(parsed.attributes)
    contents = [value or "" for key, value in parsed.attributes if key == "content"]

    assert f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{digest}'" in contents
    assert "script" not in parsed.tags
    links = [str(value) for key, value in parsed.attributes if key == "href"]
    assert [link for link in links if not link.startswith("#")] == []
    assert "style" not in policy
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_hostile_texts_are_text_everywhere() -> None:
    file = Listed(name=NASTY, uri=NASTY)
    more: dict[str, Any] = {
        "instructions": NASTY,
        "resources": (file,),
        "prompts": (file,),
        "troubles": (NASTY,),
    }
    plain = [
        server(NASTY, HOSTILE, source=NASTY, client=NASTY, **more),
        unreachable(f"{NASTY}2", fault=NASTY),
    ]
    written, parsed = page(*plain)

    assert parsed.tags <= OURS
    assert {key for key, _ in parsed.attributes} <= ATTRIBUTES
    assert NASTY in parsed.words
    assert "\x1b" not in written
    assert "\u202e" not in unescape(written)


@settings(max_examples=25)
@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_server_writes_makes_no_element(name: str, words: str) -> None:
    told = tool(name or "x", words, **{name or "y": {"type": words, "description": words, "enum": [words]}})
    _, parsed = page(server("s", told))

    assert parsed.tags <= OURS
    assert {key for key, _ in parsed.attributes} <= ATTRIBUTES


def test_nothing_secret_of_a_configuration_is_in_it() -> None:
    assert SECRET not in page(server("a", DROP), unreachable("b"))[0]
