"""Every policy that a reader may copy loads."""

from __future__ import annotations

import pytest

from ostiary.policy.load import load_text
from tests.docs.markdown import ROOT, Fence, fences, pages

POLICIES = [
    fence for page in pages() for fence in fences(page) if fence.label in {"json policy", "yaml policy"}
]
UNMARKED = [
    fence
    for page in pages()
    for fence in fences(page)
    if fence.label in {"json", "yaml"}
    and ('"default": "' in fence.text or "\ndefault: " in f"\n{fence.text}")
]
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in {".json", ".yaml"})


@pytest.mark.parametrize("fence", POLICIES, ids=lambda fence: fence.id)
def test_policy_in_the_documentation_loads(fence: Fence) -> None:
    """P1.8: every example in docs loads in a test."""
    suffix = fence.label.split()[0]

    document, diagnostics = load_text(fence.text.encode(), file=f"{fence.file.stem}.{suffix}")

    assert document is not None, diagnostics
    assert diagnostics == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_policy_in_examples_loads(path) -> None:
    """P1.8: and so does every file in examples."""
    document, diagnostics = load_text(path.read_bytes(), file=path.name)

    assert document is not None, diagnostics
    assert diagnostics == []


def test_there_are_policies_to_load() -> None:
    assert len(POLICIES) >= 5
    assert len(EXAMPLES) >= 4


def test_no_policy_in_the_documentation_escapes_the_test() -> None:
    """A block that looks like a policy is labelled `json policy` or `yaml policy`."""
    assert [fence.id for fence in UNMARKED] == []
