"""Pages are where links say, decisions are numbered once, clauses are numbered without a gap."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.markdown import ROOT, fences, headings, pages

ADR = ROOT / "docs/adr"
SEMANTICS = ROOT / "docs/reference/semantics.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_link_leads_to_a_page_and_a_heading() -> None:
    broken: list[str] = []
    for page in pages():
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            if not there.exists() or (anchor and anchor not in map(_anchor, headings(there))):
                broken.append(f"{page.relative_to(ROOT)}: {target}")

    assert broken == []


def test_decision_records_are_numbered_once_and_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in ADR.glob("*.md"))

    assert numbers == list(range(1, len(numbers) + 1))


def test_decision_records_have_the_five_parts() -> None:
    parts = ["Context", "Decision", "Consequences", "Alternatives", "Signals"]

    for path in sorted(ADR.glob("*.md")):
        title, *rest = headings(path)
        assert title.startswith(f"{path.name[:4]}: "), path.name
        assert rest == parts, path.name
        assert re.search(r"^Status: (accepted|superseded by \d{4}) ", path.read_text(), re.MULTILINE), (
            path.name
        )


def test_clauses_are_numbered_without_a_gap() -> None:
    text = SEMANTICS.read_text(encoding="utf-8")
    clauses = [(int(a), int(b)) for a, b in re.findall(r"^\*\*P(\d)\.(\d+)\*\*", text, re.MULTILINE)]

    chapters = sorted({chapter for chapter, _ in clauses})
    assert chapters == list(range(1, 9))
    for chapter in chapters:
        numbers = [number for at, number in clauses if at == chapter]
        assert numbers == list(range(1, len(numbers) + 1)), f"P{chapter}"


def test_every_clause_that_a_test_cites_exists() -> None:
    """A citation of a clause that is not in the contract is a typing error or a lost promise."""
    text = SEMANTICS.read_text(encoding="utf-8")
    known = set(re.findall(r"\*\*(P\d\.\d+)\*\*", text)) | set(re.findall(r"^## (P\d)\b", text, re.MULTILINE))

    unknown = {
        f"{path.relative_to(ROOT)}: {clause}"
        for path in sorted([*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "src").rglob("*.py")])
        for clause in re.findall(r"\bP\d\.\d+\b", path.read_text(encoding="utf-8"))
        if clause not in known
    }

    assert unknown == set()


# Clauses that no test cites, each with the reason. Only takes away.
UNPROVEN: set[str] = set()


def test_every_clause_is_cited_by_a_test() -> None:
    """A clause that nothing proves is a wish. A citation stands in a test or in a table of cases."""
    clauses = set(re.findall(r"^\*\*(P\d\.\d+)\*\*", SEMANTICS.read_text(encoding="utf-8"), re.MULTILINE))
    proofs = [*(ROOT / "tests").glob("*/test_*.py"), *(ROOT / "tests/policy/cases").glob("*.json")]

    cited = {
        clause
        for path in proofs
        if path.parent.name != "docs"
        for clause in re.findall(r"\bP\d\.\d+\b", path.read_text(encoding="utf-8"))
    }

    assert clauses - cited == UNPROVEN


def test_only_the_request_path_names_source_files() -> None:
    """File names move; one page follows them, the others name things. A tutorial has files of its own."""
    allowed = {ROOT / "docs/request-path.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs/evidence").iterdir()}
    allowed.add(ROOT / "docs/tutorial/django-shell.md")

    naming = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in pages()
        if page not in allowed
        for name in re.findall(r"\b[a-z_]+/[a-z_]+\.py\b", page.read_text(encoding="utf-8"))
    ]

    assert naming == []


def test_every_file_on_the_request_path_exists() -> None:
    page = ROOT / "docs/request-path.md"

    gone = [
        name
        for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", page.read_text(encoding="utf-8"))
        if not (ROOT / "src/ostiary" / name).exists()
    ]

    assert gone == []


def test_every_page_is_reached_from_the_index() -> None:
    linked = {
        (index.parent / target.partition("#")[0]).resolve()
        for index in (ROOT / "docs").rglob("README.md")
        for target in LINK.findall(index.read_text(encoding="utf-8"))
    }

    unreached = [
        str(page.relative_to(ROOT))
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if page not in linked and page != ROOT / "docs/README.md" and page.parent not in linked
    ]

    assert unreached == []


def test_fenced_blocks_say_what_they_are() -> None:
    unlabelled = [fence.id for page in pages() for fence in fences(page) if not fence.label]

    assert unlabelled == []


def test_make_targets_named_in_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", Path(ROOT / "Makefile").read_text(), re.MULTILINE))

    unknown = {
        f"{page.relative_to(ROOT)}: make {target}"
        for page in pages()
        for target in re.findall(r"`make ([a-z-]+)`", page.read_text(encoding="utf-8"))
        if target not in targets
    }

    assert unknown == set()
