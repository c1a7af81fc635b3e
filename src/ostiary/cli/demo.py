"""`ostiary demo`: an official client, a published server and a policy between them; then hostile code."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any

import typer

from ostiary.cli.demo_code import show_containment
from ostiary.cli.options import StateOption
from ostiary.cli.printable import printable
from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.isolation.probe import probe
from ostiary.store.query import Filter, Reader
from ostiary.store.state import StateDir, find_state
from ostiary.store.verify import verify

POLICY = """\
{
  "version": "1",
  "default": "deny",
  "tools": {
    "get_current_time": {
      "deny_if": [
        {"conditions": [{"path": "args.timezone", "op": "eq", "value": "Mars/Olympus_Mons"}],
         "on_deny": "no time zones off Earth"}
      ],
      "limits": [{"counter": "clock_rate", "window": "minute", "max": 10, "scope": "grant"}]
    }
  }
}
"""
SERVER = "mcp_server_time"
SECONDS = 60
LIMITED_CALL = 11
SHOWN = 90
"""Characters of an answer that fit beside its label."""


def demo(
    state_dir: StateOption = None,
) -> None:
    """Watch one policy allow, refuse and limit real calls, then hostile code meet its walls.

    Needs the official MCP client and a server to call: `pip install 'ostiary[demo]'`.

    Exit status: 0 when everything went as told, 1 when not, 2 when it could not run.
    """
    missing = [name for name in ("mcp", SERVER) if find_spec(name) is None]
    if missing:
        raise CallerFault(
            f"the demo needs {' and '.join(f'`{name}`' for name in missing)}",
            hint="pip install 'ostiary[demo]', or run `make run` in a checkout",
        )
    with tempfile.TemporaryDirectory(prefix="ostiary-demo-") as name:
        folder = Path(name)
        policy = folder / "policy.json"
        policy.write_text(POLICY, encoding="utf-8")
        state = Path(state_dir) if state_dir else folder / "state"
        typer.echo(POLICY)
        try:
            told = asyncio.run(asyncio.wait_for(_conversation(state, policy), SECONDS))
        except TimeoutError as error:
            raise GatewayFault(f"the demo did not end within {SECONDS} s") from error
        good = _report(find_state(state), told)
        good = _hostile(folder) and good
    raise typer.Exit(0 if good else 1)


def _hostile(folder: Path) -> bool:
    """Hostile code against the walls, where this machine has them; False when it got through."""
    lacking = probe(os.environ).lacking()
    if lacking:
        typer.echo(
            f"- hostile code: not shown, since strict isolation needs {lacking[0].name}: {lacking[0].why}"
        )
        typer.echo(f"    {lacking[0].remedy}; `ostiary doctor` shows everything")
        return True
    typer.echo("\nhostile code, behind `ostiary run python`:")
    return show_containment(folder)


class _Step:
    """One call of the demo: what it shows, and what the record must say of it."""

    def __init__(
        self, title: str, tool: str, arguments: dict[str, object], expected: tuple[str, str]
    ) -> None:
        self.title = title
        self.tool = tool
        self.arguments = arguments
        self.decision, self.rule = expected


LIMIT = "/tools/get_current_time/limits/0"
STEPS = (
    _Step("a listed tool", "get_current_time", {"timezone": "Europe/Lisbon"}, ("allow", "")),
    _Step(
        "refused by an argument rule",
        "get_current_time",
        {"timezone": "Mars/Olympus_Mons"},
        ("deny", "/tools/get_current_time/deny_if/0"),
    ),
    _Step(
        "refused by default deny",
        "convert_time",
        {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
        ("deny", "(default deny)"),
    ),
    *(
        _Step(f"call {number} of the minute", "get_current_time", {"timezone": "UTC"}, ("allow", ""))
        for number in range(2, LIMITED_CALL)
    ),
    _Step(f"call {LIMITED_CALL} of the minute", "get_current_time", {"timezone": "UTC"}, ("deny", LIMIT)),
)


async def _conversation(state: Path, policy: Path) -> list[str]:
    """Make every call through a gate on stdio; return the texts that the client was given."""
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    proxy = ["-m", "ostiary", "proxy", "-p", str(policy), "--state-dir", str(state)]
    command = [*proxy, "--server", "time", "--", sys.executable, "-m", SERVER]
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    told: list[str] = []
    async with Client(stdio_client(server)) as client:
        for step in STEPS:
            result: Any = await client.call_tool(step.tool, step.arguments)
            told.append(" ".join(result.content[0].text.split()))
    return told


def _report(state: StateDir, told: list[str]) -> bool:
    """Print each decision with its rule as it is on record; True when all is as expected."""
    reader = Reader(state)
    try:
        rows = [row for row in reader.tail(1_000, None, Filter()) if row.record is not None]
    finally:
        reader.close()
    records = [row.record for row in rows if row.record and row.record.kind in ("intent", "denial")]
    calls = [record for record in records if record.method == "tools/call"][-len(STEPS) :]
    good = len(calls) == len(STEPS)
    for step, record, text in zip(STEPS, calls, told, strict=False):
        rule = " ".join(record.rules)
        as_told = record.decision == step.decision and rule == step.rule
        good = good and as_told
        mark = "✓" if as_told else "✗"
        typer.echo(f"{mark} {step.title:<28} {step.tool:<17} {record.decision:<6} {rule}".rstrip())
        if record.decision == "deny" or step is STEPS[0]:
            typer.echo(printable(f"    the client was told: {shorten(text, SHOWN, placeholder=' …')}"))
    report = verify(state)
    counted = f"{report.rows} rows, {report.checkpoints} signed checkpoints"
    typer.echo(f"{'✓' if report.ok else '✗'} audit chain: {counted}")
    return good and report.ok
