"""Write the reference pages that come from the code (`make reference`); a test compares them.

python scripts/reference.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ostiary.policy.diagnostic import CODES
from ostiary.policy.jsonschema_export import schema

REFERENCE = Path(__file__).resolve().parents[1] / "docs/reference"

DIAGNOSTICS = """\
# Diagnostics

What `ostiary policy check` may say about a policy, by code.
A code never changes its meaning; `--format json` carries it as `code`.
This page is written by `make reference`.

| Code | What is wrong |
| --- | --- |
"""


def diagnostics_page() -> str:
    """Every code with its meaning, in the order of the source."""
    rows = (f"| `{code}` | {meaning.replace('|', chr(92) + '|')} |\n" for code, meaning in CODES.items())
    return DIAGNOSTICS + "".join(rows)


def schema_page() -> str:
    """The JSON Schema of an Ostiary policy, for editors."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def pages() -> dict[Path, str]:
    """Path and content of every generated page."""
    return {
        REFERENCE / "diagnostics.md": diagnostics_page(),
        REFERENCE / "policy.schema.json": schema_page(),
    }


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` name those that differ and return 1."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.name} differs from the code; run `make reference`", file=sys.stderr)
        else:
            path.write_text(pages()[path], encoding="utf-8")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
