"""What `make fuzz` tells and returns, with a stand-in for the process that fuzzes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz import run

PROGRESS = (
    "#2\tINITED cov: 100 ft: 200 corp: 3/9b exec/s: 0 rss: 37Mb\n"
    "#9\tNEW    cov: 105 ft: 230 corp: 4/12b lim: 4096 exec/s: 0 rss: 37Mb L: 3/9 MS: 1 Custom-\n"
)
DONE = "stat::number_of_executed_units: 4321\n"
FOUND = " === Uncaught Python exception: ===\nAssertionError: another value\n"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a program that prints `text` and, where `finds`, writes an input as the fuzzer does."""
    monkeypatch.setattr(run, "WORK", tmp_path / "work")
    monkeypatch.setattr(run, "FINDINGS", tmp_path / "work/findings")

    def make(text: str, *, finds: bytes | None, status: int) -> str:
        program = tmp_path / "python"
        program.write_text(
            f"#!{sys.executable}\n"
            "import pathlib, sys\n"
            "(prefix,) = [one.split('=')[1] for one in sys.argv if one.startswith('-artifact_prefix=')]\n"
            f"finds = {finds!r}\n"
            "if finds is not None:\n"
            "    pathlib.Path(prefix + 'crash-0123456789abcdef').write_bytes(finds)\n"
            f"print({text!r}, file=sys.stderr)\n"
            f"sys.exit({status})\n"
        )
        program.chmod(0o755)
        return str(program)

    return make


def test_a_clean_run_tells_executions_and_coverage(stand_in, capsys: pytest.CaptureFixture[str]) -> None:
    program = stand_in(PROGRESS + DONE, finds=None, status=0)

    status = run.main(["--python", program, "--seconds", "1", "lines"])

    assert status == 0
    assert "4321      100 -> 105       4  0" in capsys.readouterr().out


def test_a_finding_is_kept_named_and_fails_the_run(stand_in, capsys: pytest.CaptureFixture[str]) -> None:
    program = stand_in(PROGRESS + FOUND, finds=b"bad", status=77)

    status = run.main(["--python", program, "lines"])

    said = capsys.readouterr()
    assert status == 1
    assert "AssertionError: another value" in said.err
    assert "tests.fuzz.replay lines " in said.out
    assert (run.FINDINGS / "lines-crash-0123456789ab").read_bytes() == b"bad"


def test_a_fuzzer_that_cannot_run_is_no_clean_run(stand_in) -> None:
    assert run.main(["--python", stand_in("no module named atheris", finds=None, status=1), "lines"]) == 2
    assert run.main(["--python", stand_in(PROGRESS, finds=None, status=1), "lines"]) == 2
    assert run.main(["no_such_target"]) == 2


def test_words_are_written_as_the_fuzzer_reads_them(tmp_path: Path) -> None:
    place = run._dictionary(tmp_path / "words", (b'a"\n', b"\xff"))

    assert place.read_text() == '"\\x61\\x22\\x0a"\n"\\xff"\n'
