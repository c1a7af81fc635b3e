"""What the CI action does: scan every configuration, put the reports into one, fail where it says so.

Runs with the standard library alone. It reads OSTIARY_ACTION_*, starts `ostiary scan` and writes files;
it sends nothing anywhere. Exit status: 0 nothing came up to the threshold, 1 something did, 2 it could
not run, or a server could not be scanned: of such a server nothing is known, and that is no pass.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

USUAL = (".mcp.json", ".vscode/mcp.json", ".cursor/mcp.json")
WORDS = ("low", "medium", "high", "critical", "poisoned", "none")
KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Of the job's environment, where tokens are, a scan gets these and nothing else."""

NOT_RUN = 2


class Fault(Exception):
    """Why the action cannot run; the words are for whoever reads the log."""


def main(environ: Mapping[str, str]) -> int:
    """Scan, write the report, and say the exit status."""
    try:
        least = threshold(environ.get("OSTIARY_ACTION_FAIL_ON", ""))
        configs = configurations(environ.get("OSTIARY_ACTION_CONFIG_PATH", ""))
        out = plain(environ.get("OSTIARY_ACTION_SARIF_FILE", "").strip() or "ostiary.sarif", "sarif-file")
        hosts = environ.get("OSTIARY_ACTION_ALLOW_HOSTS", "").replace(",", " ").split()
        with tempfile.TemporaryDirectory(dir=environ.get("RUNNER_TEMP") or None) as folder:
            outcomes = [scanned(each, least, hosts, environ, Path(folder)) for each in configs]
        write(Path(out), [run for _, runs in outcomes for run in runs])
    except Fault as fault:
        print(f"error: {fault}", file=sys.stderr)
        return NOT_RUN
    tell(environ, out)
    for config, (status, runs) in zip(configs, outcomes, strict=True):
        print(f"{shown(config)}: {verdict(status, runs, least)}", file=sys.stderr)
    return max(status for status, _ in outcomes)


def threshold(word: str) -> str:
    """The word of `fail-on` in lower case. Raises Fault for one that is none."""
    meant = word.strip().lower() or "high"
    if meant in WORDS:
        return meant
    near = get_close_matches(meant, WORDS, n=1)
    hint = f"did you mean `{near[0]}`" if near else ", ".join(WORDS[:-1]) + f" or {WORDS[-1]}"
    raise Fault(f"fail-on: `{shown(word)}` is none ({hint})")


def configurations(text: str) -> list[str]:
    """The files that are named, or the usual ones that are there. Raises Fault where one is missing."""
    named = [plain(line.strip(), "config-path") for line in text.splitlines() if line.strip()]
    if not named:
        found = [each for each in USUAL if Path(each).is_file()]
        if not found:
            raise Fault(f"there is none of {', '.join(USUAL)}: name your file in config-path")
        return found
    missing = [shown(each) for each in named if not Path(each).is_file()]
    if missing:
        raise Fault(f"there is no file {', '.join(missing)}: check config-path")
    return [*dict.fromkeys(named)]


def plain(text: str, name: str) -> str:
    """A path that can stand on one line. Raises Fault otherwise."""
    if not text.isprintable():
        raise Fault(f"{name}: a path with characters that do not print")
    return text


def scanned(
    config: str, least: str, hosts: Sequence[str], environ: Mapping[str, str], folder: Path
) -> tuple[int, list[dict[str, Any]]]:
    """The exit status of one scan, and the runs of its report."""
    out = folder / "scan.sarif"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-I", "-m", "ostiary", "scan", f"--config={config}"]
    command += ["--format=sarif", f"--output={out}"]
    command += [] if least == "none" else [f"--fail-on={least}"]
    command += [f"--allow-host={host}" for host in hosts]
    kept = {key: environ[key] for key in KEPT if key in environ}
    ended = subprocess.run(command, env=kept, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    for line in (ended.stdout + ended.stderr).decode("utf-8", "replace").splitlines():
        print(f"| {shown(line)}", file=sys.stderr)
    status = ended.returncode if ended.returncode in (0, 1) else NOT_RUN
    try:
        runs = json.loads(out.read_bytes())["runs"] if out.exists() else []
    except (ValueError, KeyError, TypeError):
        runs = []
    for run in runs:
        run["automationDetails"] = {"id": f"ostiary-scan/{config}/"}
    return (status if runs else NOT_RUN), runs


def shown(text: str) -> str:
    """A line for the log that no runner takes for a command: `##[` counts anywhere, `::` at the start."""
    line = "".join(char if char.isprintable() else "?" for char in text)
    return line.replace("##[", "## [").replace("::", ": :")


def write(out: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """One report of all scans, whole or not at all; each run has a category of its own."""
    document = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": list(runs),
    }
    draft = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("x", encoding="utf-8") as file:  # never through a link that the repository has there
            file.write(json.dumps(document, indent=1) + "\n")
        draft.replace(out)
    except OSError as error:
        raise Fault(f"cannot write {shown(str(out))}: {(error.strerror or 'failed').lower()}") from error


def tell(environ: Mapping[str, str], out: str) -> None:
    """The output of the step."""
    file = environ.get("GITHUB_OUTPUT", "")
    if file:
        with Path(file).open("a", encoding="utf-8") as outputs:
            outputs.write(f"sarif-file={out}\n")


def verdict(status: int, runs: Sequence[Mapping[str, Any]], least: str) -> str:
    """One line for one configuration."""
    count = sum(len(run.get("results", ())) for run in runs)
    what = f"{count} result{'' if count == 1 else 's'}"
    if status == NOT_RUN:
        return f"{what}; failed: not every server could be scanned, and of those nothing is known"
    return f"{what}; " + (f"failed: something is {least} or worse" if status else "passed")


if __name__ == "__main__":
    raise SystemExit(main(os.environ))
