"""The HTML report in a real browser: on a screen, in the dark, on a phone and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.scan.examined import examine
from ostiary.scan.report.html import html
from ostiary.scan.report.view import Report
from tests.needs import needs_browser
from tests.scan.servers import DROP, HOSTILE, LIST, NASTY, POISONED, SHELL, server, tool, unreachable
from tests.tools.browser import Browser, browsing

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

LONG = tool("word" * 60, "no-space" * 400, **{"argument" * 30: {"type": "string", "description": "x" * 300}})
MARKS = tool("zalgo", "Z" + "\u0303" * 400, mode={"enum": ["a", "b"], "maxLength": 4})
SIZES = pytest.mark.parametrize(
    ("width", "scheme"), [(1200, "light"), (1200, "dark"), (360, "light"), (320, "dark")]
)

CONTRASTS = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const rgb = parse(getComputedStyle(at).backgroundColor);
      if (rgb.length < 4 || rgb[3] === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, element.className || element.tagName, walker.currentNode.data.slice(0, 40)]);
  }
  return found;
})()
"""


@pytest.fixture(scope="module", name="browser")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command, environment = needs_browser()
    with browsing(command, environment, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module", name="page")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything that a report can have, all of it opened."""
    servers = [
        server("db", LIST, DROP, SHELL, POISONED, HOSTILE, LONG, MARKS, ambiguous=("list_rows",)),
        server("empty", source="/a/folder/" * 20 + ".mcp.json"),
        unreachable(NASTY, fault="no " * 200),
    ]
    report = Report(servers=examine(servers), version="9", when="2026-11-20T09:00:00Z")
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(html(report).replace("<details", "<details open"), encoding="utf-8")
    return file


@SIZES
def test_it_fits_the_window_and_asks_for_nothing(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    browser.show(page, width=width, scheme=scheme)

    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.requests() == [page.as_uri()]
    assert browser.complaints() == []
    assert browser.run("document.scripts.length + document.images.length + document.links.length") == 3


@SIZES
def test_every_text_can_be_read(browser: Browser, page: Path, width: int, scheme: str) -> None:
    """4.5 to 1 is what WCAG 2.2 asks for (success criterion 1.4.3)."""
    browser.show(page, width=width, scheme=scheme)
    found = browser.run(CONTRASTS)

    assert len(found) > 100
    assert [each for each in found if each[0] < 4.5] == []


def test_its_style_is_applied_and_follows_the_readers_choice(browser: Browser, page: Path) -> None:
    backgrounds: list[str] = []
    for scheme in ("light", "dark"):
        browser.show(page, width=1200, scheme=scheme)
        backgrounds.append(browser.run("getComputedStyle(document.body).backgroundColor"))

    assert backgrounds == ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]


def test_hostile_names_are_text(browser: Browser, page: Path) -> None:
    browser.show(page, width=1200)

    assert browser.run("document.title") == "What 3 MCP servers can do"
    assert NASTY in browser.run("document.body.innerText")
    assert browser.run("document.querySelectorAll('img, script, [onerror]').length") == 0


def test_heaps_of_marks_paint_over_nothing(browser: Browser, page: Path) -> None:
    browser.show(page, width=1200)
    hidden = "[...document.querySelectorAll('.said, .name')].map((e) => getComputedStyle(e).overflowY)"

    assert set(browser.run(hidden)) == {"hidden"}


def test_on_paper_what_is_closed_is_printed(browser: Browser, page: Path) -> None:
    closed = page.with_name("closed.html")
    closed.write_text(page.read_text(encoding="utf-8").replace("<details open", "<details"), encoding="utf-8")
    height = "document.querySelector('details').getBoundingClientRect().height"
    browser.show(closed, width=800)
    screen = browser.run(height)
    browser.show(closed, width=800, media="print")

    assert 0 < screen < 100
    assert browser.run(height) > screen + 200


def test_a_script_of_the_page_itself_would_not_run(browser: Browser, page: Path) -> None:
    """That its own policy is in force, whatever might be missed elsewhere."""
    forged = page.with_name("forged.html")
    text = page.read_text(encoding="utf-8")
    forged.write_text(text.replace("</body>", "<script>document.title = 'run'</script></body>"))
    browser.show(forged, width=800)

    assert browser.run("document.title") == "What 3 MCP servers can do"
    assert any("Content Security Policy" in each for each in browser.complaints())
