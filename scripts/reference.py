"""Write the reference pages that come from the code (`make reference`); a test compares them.

python scripts/reference.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ostiary.policy.diagnostic import CODES
from ostiary.policy.jsonschema_export import schema

DOCS = Path(__file__).resolve().parents[1] / "docs"
REFERENCE = DOCS / "reference"
ERRORS = DOCS / "errors"

DIAGNOSTICS = """\
# Diagnostics

What `ostiary policy check` may say about a policy, by code.
A code never changes its meaning; `--format json` carries it as `code`.
Each leads to a page that says why it matters, what to do, and shows an example.
This page is written by `make reference`.

| Code | What is wrong |
| --- | --- |
"""

INDEX = """\
# When the gate says no

One page for each diagnostic of a policy, each reason to deny that has no place in a policy, and \
each error code.
Each says what happened, why the gate does that, and what to do: for who makes an agent, and for who \
runs a gate.
This index is written by `make reference`; a test runs the examples of the pages.

Denied by a rule with a place, such as `/tools/fetch/deny_if/0`?
Then the policy says why, at that place, and `ostiary policy explain` shows it.

Where an example begins with `POST /mcp`, these are left out: the token, the session that `initialize` \
made, `Content-Type`, `Accept`, and the revision of that session.
"""


def diagnostics_page() -> str:
    """Every code with its meaning, in the order of the source."""
    rows = (
        f"| [`{code}`](../errors/policy/{code}.md) | {meaning.replace('|', chr(92) + '|')} |\n"
        for code, meaning in CODES.items()
    )
    return DIAGNOSTICS + "".join(rows)


def errors_index() -> str:
    """The index of the error pages, from their titles and first sentences."""
    parts = [INDEX]
    for heading, folder, column in (
        ("Rules", "rules", "Rule"),
        ("JSON-RPC errors", "json-rpc", "Code"),
        ("Policies", "policy", "Code"),
    ):
        rows = [_row(page) for page in sorted((ERRORS / folder).glob("*.md"))]
        parts.append(f"\n## {heading}\n\n| {column} | What happened |\n| --- | --- |\n" + "".join(rows))
    return "".join(parts)


def _row(page: Path) -> str:
    title, first = page.read_text(encoding="utf-8").split("\n\n", 2)[:2]
    code, _, name = title.removeprefix("# ").partition(": ")
    sentence = first.partition("\n")[0].rstrip(".").replace("|", "\\|")
    said = f"{name}: {sentence[:1].lower()}{sentence[1:]}" if name else sentence
    return f"| [{code}]({page.parent.name}/{page.name}) | {said} |\n"


def schema_page() -> str:
    """The JSON Schema of an Ostiary policy, for editors."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def pages() -> dict[Path, str]:
    """Path and content of every generated page."""
    return {
        REFERENCE / "diagnostics.md": diagnostics_page(),
        REFERENCE / "policy.schema.json": schema_page(),
        ERRORS / "README.md": errors_index(),
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
