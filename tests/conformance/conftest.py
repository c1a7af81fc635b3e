"""Prints the table of `make conformance`."""

from __future__ import annotations

import os

import pytest

HEAD = ("set", "server", "alone", "through", "differences")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each run: checks passed/failed alone and through the gate."""
    rows = sorted(
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in report.user_properties
        if name == "row"
    )
    if not rows or "CONFORMANCE_TABLE" not in os.environ:
        return
    table = [HEAD, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    terminalreporter.section("conformance, checks passed/failed")
    for row in table:
        terminalreporter.write_line(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        )
