"""`make fuzz`: fuzz every target, or one, for some seconds each.

    python -m tests.fuzz.run [--seconds N] [--python PATH] [TARGET…]

Prints executions, how coverage grew and what was found. An input that shows a fault is written to
`build/fuzz/findings`, and the exit status is 1; 2 means that the fuzzer could not run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import registry

ROOT = registry.FOLDER.parent.parent
WORK = ROOT / "build/fuzz"
FINDINGS = WORK / "findings"

LONGEST_INPUT = 2_048
SLOWEST_INPUT = 10
MOST_MEMORY = 1_024

_PROGRESS = re.compile(r"^#(\d+)\s+(\w+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)


class Outcome(NamedTuple):
    """What one target's run came to."""

    executions: int
    before: int
    after: int
    inputs: int
    findings: list[Path]
    output: str
    ran: bool


def fuzz(name: str, python: str, seconds: int) -> Outcome:
    """Run one target for `seconds`; what it learns stays in `build/fuzz/corpus`."""
    learnt = WORK / "corpus" / name
    learnt.mkdir(parents=True, exist_ok=True)
    FINDINGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        started_from = folder / "seeds"
        started_from.mkdir()
        for number, seed in enumerate(registry.target(name).seeds()):
            (started_from / f"{number:04}").write_bytes(seed)
        found = folder / "found"
        found.mkdir()
        command = [
            python,
            "-m",
            "tests.fuzz.engine",
            name,
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST_INPUT}",
            f"-timeout={SLOWEST_INPUT}",
            f"-rss_limit_mb={MOST_MEMORY}",
            f"-artifact_prefix={found}/",
            f"-dict={_dictionary(folder / 'words', registry.target(name).WORDS)}",
            "-print_final_stats=1",
            str(learnt),
            *([str(registry.CORPUS / name)] if registry.kept(name) else []),
            str(started_from),
        ]
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        findings = [_kept_finding(name, path) for path in sorted(found.iterdir())]
    return _read(ended.stdout, findings, ended.returncode)


def _dictionary(path: Path, words: tuple[bytes, ...]) -> Path:
    """Words of the target's language, in libFuzzer's spelling."""
    spelled = ["".join(f"\\x{byte:02x}" for byte in word) for word in words]
    path.write_text("".join(f'"{word}"\n' for word in spelled), encoding="ascii")
    return path


def _kept_finding(name: str, path: Path) -> Path:
    kind, _, digest = path.name.partition("-")
    place = FINDINGS / f"{name}-{kind}-{digest[:12]}"
    shutil.move(path, place)
    return place


def _read(output: str, findings: list[Path], status: int) -> Outcome:
    progress = [match.groups() for match in _PROGRESS.finditer(output)]
    inited = next((line for line in progress if line[1] == "INITED"), None)
    done = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
    last = progress[-1] if progress else None
    return Outcome(
        executions=int(done[1]) if done else int(last[0]) if last else 0,
        before=int(inited[2]) if inited else 0,
        after=int(last[2]) if last else 0,
        inputs=int(last[4]) if last else 0,
        findings=findings,
        output=output,
        ran=bool(progress) and (status == 0 or bool(findings)),
    )


def main(arguments: list[str]) -> int:
    """Fuzz, tell, and return the exit status."""
    reader = argparse.ArgumentParser(prog="make fuzz", description="fuzz the parsers")
    reader.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(registry.names()))
    reader.add_argument("--seconds", type=int, default=60, help="for each target")
    reader.add_argument("--python", default=sys.executable, help="of an environment with the fuzzer")
    asked = reader.parse_args(arguments)
    unknown = [name for name in asked.targets if name not in registry.names()]
    if unknown:
        print(f"fuzz: no target `{unknown[0]}`; there are {', '.join(registry.names())}", file=sys.stderr)
        return 2
    status = 0
    print(f"{'target':<16} {'executions':>10} {'coverage':>15} {'inputs':>7}  findings", flush=True)
    for name in asked.targets or registry.names():
        outcome = fuzz(name, asked.python, asked.seconds)
        grown = f"{outcome.before} -> {outcome.after}"
        print(
            f"{name:<16} {outcome.executions:>10} {grown:>15} {outcome.inputs:>7}  {len(outcome.findings)}",
            flush=True,
        )
        if outcome.findings:
            status = max(status, 1)
            print(_excerpt(outcome.output), file=sys.stderr)
            for path in outcome.findings:
                print(f"  python -m tests.fuzz.replay {name} {os.path.relpath(path, ROOT)}", flush=True)
        elif not outcome.ran:
            status = 2
            print(outcome.output[-2_000:], file=sys.stderr)
    return status


def _excerpt(output: str) -> str:
    """The error that ended the run, without the fuzzer's own lines."""
    _, found, after = output.partition("=== Uncaught Python exception: ===")
    return after.partition("==")[0].strip() if found else output[-1_000:]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
