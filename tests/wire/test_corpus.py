"""Every refused input of the corpus is refused as its manifest says, and its twin is accepted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ostiary.wire.envelope import read_message
from ostiary.wire.era import check_headers
from ostiary.wire.message import Message, Refusal

CORPUS = Path(__file__).parent.parent / "corpus"
CASES: list[dict[str, object]] = json.loads((CORPUS / "manifest.json").read_text(encoding="utf-8"))
LEAST_CASES = 120


def arrive(case: dict[str, object], folder: str) -> object:
    """What the gate makes of one input of `case`, the way it arrives."""
    twin = folder == "accepted"
    recipe = case.get("generate_twin" if twin else "generate")
    if isinstance(recipe, list):
        before, repeated, count, after = recipe
        data = (before + repeated * count + after).encode()
    else:
        data = (CORPUS / folder / str(case["file"])).read_bytes()
    read = read_message(data, batches=bool(case.get("batches")))
    sent = case.get("twin_headers" if twin else "headers")
    if isinstance(sent, list) and isinstance(read, Message):
        verdict = check_headers(read, [(name.encode(), value.encode()) for name, value in sent])
        return verdict if isinstance(verdict, Refusal) else read
    return read


@pytest.mark.parametrize("case", CASES, ids=[str(case["name"]) for case in CASES])
def test_input_is_refused_for_its_reason(case: dict[str, object]) -> None:
    """A refused input has the code, HTTP status and rule that the manifest names."""
    verdict = arrive(case, "refused")
    assert isinstance(verdict, Refusal), "accepted"
    assert (verdict.code, verdict.status, verdict.rule) == (case["code"], case["status"], case["rule"])


@pytest.mark.parametrize("case", CASES, ids=[str(case["name"]) for case in CASES])
def test_nearest_twin_is_accepted(case: dict[str, object]) -> None:
    """What is refused is refused for that one reason: its twin, one step away, is not."""
    assert not isinstance(arrive(case, "accepted"), Refusal)


def test_corpus_holds_enough_refused_inputs() -> None:
    """The corpus does not shrink unnoticed."""
    assert len(CASES) >= LEAST_CASES
    assert len({case["name"] for case in CASES}) == len(CASES)


def test_stored_corpus_is_what_its_script_writes(tmp_path: Path) -> None:
    """The files are those of the checked-in script, byte for byte, and no others."""
    subprocess.run([sys.executable, "-I", CORPUS / "make.py", tmp_path], check=True, timeout=20)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    stored = {path.relative_to(CORPUS): path.read_bytes() for path in CORPUS.rglob("*.json")}
    assert made == stored


def test_no_refusal_repeats_a_value_of_the_message() -> None:
    """Values of arguments never reach an error text."""
    secret = "hunter2hunter2"
    for text in (
        f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":1,"arguments":{{"p":"{secret}"}}}}}}',
        f'{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":"{secret}","a":"{secret}"}}}}',
        f'{{"a":"{secret}"',
        f'{{"id":"{secret * 40}","method":"x"}}',
    ):
        verdict = read_message(text.encode())
        assert isinstance(verdict, Refusal)
        assert secret not in verdict.message
