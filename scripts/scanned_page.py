"""The page of the scanned servers, from their records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ostiary.registry.change import printable
from ostiary.registry.classification import Severity
from ostiary.registry.records import Entry, Record, Tool

WORST = 3
LONGEST = 200
ERROR = re.compile("[Ee]rror|[Ee]xception")
WROTE = "; the last that it wrote: "

HEAD = """\
# Scanned servers

The published MCP servers whose tools Ostiary carries as records, and what its rules say of them.
This page is written by `make records`.

{servers} servers of npm and PyPI were chosen, with their versions, before any of them was asked.
{answered} answered, with {tools} tools; the others say why below.
Each was installed by name and exact version without its install scripts, and asked behind walls, without a \
network.
So a server that asks its vendor for its tools has none here.

| What the rules say | Tools |
| --- | --- |
{categories}| with a [finding](findings.md) in its text | {findings} |

A grade is of [what the tools can do](classification.md) together: \
a server that only reads has an A, and a server with many tools that delete has an F however well it is made.
It says how much of a policy a server needs, not how good it is.
The tokens are an estimate of what its tool list takes of a context.

## The servers

| Server | Package | Version | Tools | Tokens | Grade | Worst tools, or why there are none |
| --- | --- | --- | --- | --- | --- | --- |
"""

TAIL = """
## A record

One JSON file for each server, which the package ships (`ostiary.registry.records.records()` reads them).
All but ASCII is escaped in them: what servers write is hostile text.

| Member | What it holds |
| --- | --- |
| `format` | 1 |
| `package` | `registry` (`npm`, `pypi`), `name`, `version`, and the `license` that its metadata names |
| `scanned` | the day |
| `isolated`, `network` | whether walls stood around it, and what it could reach: `none` |
| `reason` | why there is no answer; empty where there is one |
| `server`, `server_version` | what the server calls itself |
| `era`, `revision` | how it speaks: `legacy` by the handshake, `modern` without, and the revision of MCP |
| `instructions` | what it wants a model to read first |
| `ambiguous` | names that stand in its list in two versions |
| `grade` | the letter, the points, and the parts they are the sum of |
| `tokens` | the estimate: a fourth of the bytes of names, descriptions and input schemas |
| `tools` | each with `name`, `digest`, the whole `definition` as the server gave it, and `classification` \
with its evidence and findings |

Resources, prompts and what tools answer are left out: nothing was called.
The definitions are those of the packages, under the licences that the records name.

## Scanning again

`make records` fetches what is not there yet, asks every server of the list, and writes the records and this \
page; it takes about 15 minutes, 6 GB of disk, and bubblewrap.
Two scans of the same packages write the same records, but for one thing: on a busy machine a server of both \
eras may be too slow to show that it knows the modern one, and is then asked by the handshake.
`python scripts/scan-servers.py --judge` asks nothing, and only says anew what the rules say of the \
definitions on record: run it when rules change.
"""


def page(found: Sequence[tuple[Entry, Record]]) -> str:
    """The page for these records, in their order."""
    records = [record for _, record in found]
    tools = [tool for record in records for tool in record.tools]
    counted = Counter(tool.classification.category.value for tool in tools)
    head = HEAD.format(
        servers=len(records),
        answered=sum(not record.reason for record in records),
        tools=len(tools),
        categories="".join(f"| {name} | {count} |\n" for name, count in sorted(counted.items())),
        findings=sum(bool(tool.classification.findings) for tool in tools),
    )
    return head + "".join(_row(entry, record) for entry, record in found) + TAIL


def _row(entry: Entry, record: Record) -> str:
    package = record.package
    about = [entry.title, f"{package.registry}: `{package.name}`", package.version]
    if record.reason:
        cells = [*about, "", "", "", _cell(_shortened(record.reason))]
    else:
        letter = record.grade.letter if record.grade else ""
        cells = [*about, str(len(record.tools)), f"{record.tokens:,}", letter, _worst(record)]
    return f"| {' | '.join(cells)} |\n"


def _worst(record: Record) -> str:
    """The tools with the highest severity and score, those that come first in the list first."""
    severities = list(Severity)

    def weight(tool: Tool) -> tuple[int, int]:
        known = tool.classification
        return (-severities.index(known.severity), -known.score)

    bad = [
        tool for tool in record.tools if tool.classification.severity in {Severity.HIGH, Severity.CRITICAL}
    ]
    worst = sorted(bad, key=weight)[:WORST]
    shown = (f"`{_code(tool.name)}` ({tool.classification.category})" for tool in worst)
    return ", ".join(shown) or "none above Medium"


def _shortened(reason: str) -> str:
    """A reason with the one line that names an error, of all that the server wrote before it ended."""
    what, joint, said = reason.partition(WROTE)
    lines = [line for line in said.split(" / ") if not line.startswith("File ")]
    named = [line for line in lines if ERROR.search(line)]
    return f"{what}{joint}{named[-1] if named else ' / '.join(lines)}"


def _code(text: str) -> str:
    """Hostile text within back-ticks in a table."""
    return printable(" ".join(text.split())).replace("`", "").replace("|", "")[:LONGEST]


def _cell(text: str) -> str:
    """Hostile text within a table: one line, no markup, cut."""
    plain = printable(" ".join(text.split()))
    plain = plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
    for mark in "`<>":
        plain = plain.replace(mark, "")
    return "".join(f"\\{each}" if each in "\\|[]*_" else each for each in plain)
