"""The two servers that tests compare: ours, and one on the official SDK that offers the same."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.world import HttpServer

OURS = [sys.executable, str(Path(__file__).parent / "fixture_server.py")]
OFFICIAL = [sys.executable, str(Path(__file__).parents[2] / "conformance" / "fixture_server.py")]


def over_http(command: list[str], log: Path) -> HttpServer:
    return HttpServer([*command, "{port}"], log, lambda _: {})
