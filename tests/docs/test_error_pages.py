"""docs/errors: a page for every code, a code for every page, and examples that come true."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.policy.diagnostic import CODES
from tests.docs.console import agrees, run, typed
from tests.docs.error_examples import ERRORS, ErrorGate, checked, compact, write
from tests.docs.markdown import Fence, fences, headings
from tests.docs.test_reference import OTHERS, sources

POLICY_PAGES = sorted((ERRORS / "policy").glob("*.md"))
RULE_PAGES = sorted((ERRORS / "rules").glob("*.md"))
CODE_PAGES = sorted((ERRORS / "json-rpc").glob("*.md"))
ALL = [*POLICY_PAGES, *RULE_PAGES, *CODE_PAGES]


def name(page: Path) -> str:
    return f"{page.parent.name}/{page.stem}"


def title(page: Path) -> str:
    """What stands in back-ticks in the first line of a page."""
    found = re.match(r"# `([^`]+)`", page.read_text(encoding="utf-8"))
    assert found is not None, page
    return found[1]


def rules_of_the_source() -> set[str]:
    return set(re.findall(r'"(\([a-z][a-z ]+\))"', sources()))


def codes_of_the_source() -> set[str]:
    text = sources()
    own = re.findall(r"^[A-Z_]+(?:: Final)? = (4[2-5]\d\d)$", text, re.MULTILINE)
    return (set(re.findall(r"-32\d{3}\b", text)) | set(own)) - OTHERS


def test_every_diagnostic_has_a_page_and_every_page_a_diagnostic() -> None:
    assert {page.stem for page in POLICY_PAGES} == set(CODES)
    assert [title(page) for page in POLICY_PAGES] == [page.stem for page in POLICY_PAGES]


def test_every_rule_has_a_page_and_every_page_a_rule() -> None:
    explained = {title(page) for page in RULE_PAGES}

    assert rules_of_the_source() - explained == set()
    assert explained - rules_of_the_source() == set()


def test_every_error_code_has_a_page_and_every_page_a_code() -> None:
    assert {title(page) for page in CODE_PAGES} == codes_of_the_source()


def test_a_page_is_where_its_title_says() -> None:
    for page in RULE_PAGES:
        assert page.stem == title(page).strip("()").replace(" ", "-")
    for page in CODE_PAGES:
        assert page.stem == title(page).lstrip("-")


@pytest.mark.parametrize("page", ALL, ids=name)
def test_a_page_answers_the_same_questions_in_the_same_order(page: Path) -> None:
    _, *rest = headings(page)
    text = page.read_text(encoding="utf-8")

    assert rest in (
        ["Why the gate does that", "What to do"],
        ["Why the gate does that", "What to do", "Example"],
    )
    if page not in POLICY_PAGES:
        assert "\n- If you make the agent or client: " in text
        assert "\n- If you run the gate: " in text


@pytest.mark.parametrize("page", POLICY_PAGES, ids=name)
def test_a_diagnostic_says_on_its_page_what_the_program_says(page: Path) -> None:
    first = page.read_text(encoding="utf-8").split("\n\n")[1].split("\n")[0]

    assert first.lower() == CODES[page.stem].lower() + "."


def block(page: Path, label: str) -> Fence:
    [found] = [fence for fence in fences(page) if fence.label == label]
    return found


ABOUT_TESTS = [page for page in POLICY_PAGES if any(fence.label == "console" for fence in fences(page))]
ABOUT_POLICIES = [page for page in POLICY_PAGES if page not in ABOUT_TESTS]


@pytest.mark.parametrize("page", ABOUT_POLICIES, ids=name)
def test_the_example_of_a_diagnostic_is_what_the_check_says(page: Path, tmp_path: Path) -> None:
    came = checked(list(fences(page)), tmp_path)

    assert agrees(block(page, "text").text, came), came
    assert f"[{page.stem}]" in block(page, "text").text
    severity = "warning" if "\nA warning: " in page.read_text(encoding="utf-8") else "error"
    assert f": {severity}: " in block(page, "text").text


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ErrorGate]:
    opened = ErrorGate(tmp_path_factory.mktemp("gate"))
    yield opened
    opened.close()


SENT = [page for page in [*RULE_PAGES, *CODE_PAGES] if any(fence.label == "http" for fence in fences(page))]
TYPED = [page for page in RULE_PAGES if any(fence.label == "console" for fence in fences(page))]
TYPED += ABOUT_TESTS


@pytest.mark.parametrize("page", SENT, ids=name)
def test_the_example_of_a_refusal_is_what_a_gate_answers(page: Path, gate: ErrorGate) -> None:
    answer, rules = gate.send(block(page, "http").text)

    assert answer == compact(block(page, "text").text)
    if page in RULE_PAGES:
        assert rules == [title(page)]
    else:
        assert f'"code":{title(page)},' in answer


@pytest.mark.parametrize("page", TYPED, ids=name)
def test_an_example_that_is_typed_is_what_the_command_prints(page: Path, tmp_path: Path) -> None:
    write(list(fences(page)), tmp_path)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    [one] = typed(page)
    came = run(one.command, tmp_path, {"PATH": path, "HOME": str(tmp_path), "PYTHONUTF8": "1"})

    assert agrees(one.shown, came), came
    assert (f"rule: {title(page)}" if page in RULE_PAGES else f"[{title(page)}]") in came


WITHOUT = {
    "rules/brake", "rules/drift", "rules/draining", "rules/encoding", "rules/id-in-flight",
    "rules/id-used-before", "rules/internal", "rules/line", "rules/size", "rules/stopped", "rules/store",
    "rules/too-many", "rules/approval-cancelled", "rules/approval-denied", "rules/approval-too-large",
    "rules/approvals-crowded", "rules/approval-expired", "rules/approval-used",
    "json-rpc/32002", "json-rpc/32021", "json-rpc/32022", "json-rpc/32603", "json-rpc/32800", "json-rpc/4202",
    "json-rpc/4401", "json-rpc/4423", "json-rpc/4429", "json-rpc/4502", "json-rpc/4503",
}  # fmt: skip
"""Pages without an example: a full disk, a fault of ours, bytes that no page shows. Only takes away."""


def test_every_other_page_has_an_example() -> None:
    assert {name(page) for page in [*RULE_PAGES, *CODE_PAGES]} - {
        name(page) for page in [*SENT, *TYPED]
    } == WITHOUT


LABELS = {
    "sh",
    "text",
    "http",
    "console",
    "json policy.json",
    "json tools.json",
    "yaml policy.yaml",
    "yaml policy.tests.yaml",
}


def test_every_block_of_a_page_is_of_a_kind_that_is_run() -> None:
    assert [fence.id for page in ALL for fence in fences(page) if fence.label not in LABELS] == []
