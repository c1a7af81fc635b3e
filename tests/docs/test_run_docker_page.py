"""The calls on the page about containers, made in order: what comes back is what the page shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.markdown import ROOT, Fence, fences
from tests.e2e.driver import PYTHON_2, Drivers
from tests.needs import needs_docker
from tests.servers.docker.world import OUTPUTS, PYTHON, checked, fresh, over_stdio

PAGE = ROOT / "docs/how-to/run-docker.md"
IMAGE = "python:3.12-slim"


class Shown(NamedTuple):
    """A call of the page, and the answer that stands below it."""

    call: Fence
    answer: str


def shown() -> Iterator[Shown]:
    blocks = [fence for fence in fences(PAGE) if fence.label in {"json call", "text answer"}]
    for call, answer in zip(blocks[::2], blocks[1::2], strict=True):
        assert (call.label, answer.label) == ("json call", "text answer"), call.id
        yield Shown(call, answer.text)


def agrees(answer: str, came: str) -> bool:
    """Whether `came` is what the page shows, where `…` stands for anything."""
    parts = [re.escape(part) for part in answer.strip("\n").split("…")]
    return re.fullmatch("(.|\n)*".join(parts), came.strip("\n")) is not None


@pytest.mark.service
@pytest.mark.timeout(120)
def test_the_calls_of_the_page_are_answered_as_it_says(tmp_path: Path) -> None:
    steps = list(shown())
    box = fresh()
    clients = Drivers()
    try:
        target = over_stdio(tmp_path, needs_docker(), "--grant", fresh())
        with clients.connect(PYTHON_2, target) as server:
            for step in steps:
                call = json.loads(step.call.text.replace(IMAGE, PYTHON).replace('"box"', json.dumps(box)))
                answer = server.call(call["name"], **call["arguments"])
                checked(call["name"], answer)
                parts = [part.get("text", "").rstrip("\n") for part in answer["result"]["content"]]
                came = "\n".join(parts).replace(box, "box").replace(PYTHON, IMAGE)
                assert agrees(step.answer, came), f"{step.call.id}\n{came}"
    finally:
        clients.end()

    assert len(steps) >= 8


def test_the_page_says_what_every_tool_does() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert [name for name in OUTPUTS if f"`{name}`" not in text] == []


def test_the_page_shows_more_than_failures() -> None:
    """So that a page on which nothing works any more cannot agree with itself."""
    assert sum("Error" in step.answer for step in shown()) == 0
    assert {json.loads(step.call.text)["name"] for step in shown()} >= {
        "exec",
        "execute_code",
        "create_container",
    }
