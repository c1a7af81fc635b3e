"""What a reader copies into a client's configuration is JSON, and starts a gate."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from ostiary.cli.proxy import parser
from tests.docs.markdown import ROOT, Fence, fences, pages

CLIENTS = sorted((ROOT / "docs/how-to/clients").glob("*.md"))
# Examples of errors are wrong on purpose; a test of their own runs them.
ERRORS = ROOT / "docs/errors"
BLOCKS = [fence for page in pages() if ERRORS not in page.parents for fence in fences(page)]
JSON = [fence for fence in BLOCKS if fence.label.split()[0] == "json"]
SHELL = [fence for fence in BLOCKS if fence.label in {"sh", "console"}]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Where it stands, and the words after `ostiary proxy`, of every gate that a page starts."""
    for fence in JSON:
        document = json.loads(fence.text)
        if fence.file not in CLIENTS:
            continue
        for entry in {**document.get("mcpServers", {}), **document.get("servers", {})}.values():
            words = [entry.get("command", ""), *entry.get("args", [])]
            if "proxy" in words:
                yield fence.id, words[words.index("proxy") + 1 :]
    for fence in SHELL:
        for line in fence.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True) if "ostiary proxy" in line else []
            for at, (first, second) in enumerate(pairwise(words)):
                if first.endswith("ostiary") and second == "proxy":
                    yield fence.id, words[at + 2 :]


@pytest.mark.parametrize("fence", JSON, ids=lambda fence: fence.id)
def test_json_on_a_page_is_json(fence: Fence) -> None:
    assert isinstance(json.loads(fence.text), list if fence.label.startswith("json tools") else dict)


@pytest.mark.parametrize("page", CLIENTS, ids=lambda page: page.stem)
def test_each_client_page_shows_both_ways_in_with_the_keys_of_that_client(page: Any) -> None:
    entries: list[dict[str, Any]] = []
    for fence in JSON:
        document = json.loads(fence.text)
        key = "servers" if page.stem == "vs-code" else "mcpServers"
        if fence.file == page and key in document:
            entries += document[key].values()

    assert any(entry.get("command", "").endswith("ostiary") for entry in entries)
    if page.stem != "claude-desktop":  # its file starts programs and connects to no address
        [gate] = [entry for entry in entries if "url" in entry]
        assert gate["url"] == "http://127.0.0.1:8787/mcp"
        assert gate["headers"]["Authorization"].startswith("Bearer ${")


def test_every_gate_that_a_page_starts_has_options_that_exist() -> None:
    found = list(commands())

    assert len(found) >= 10
    for where, words in found:
        end = words.index("--") if "--" in words else len(words)
        given = parser().parse_args(words[:end])
        assert given.policy is not None, where
        assert bool(given.upstream) != bool(words[end + 1 :]), where
