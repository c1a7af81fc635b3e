"""`ostiary policy test`: the calls in a tests file, decided and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.options import (
    Format,
    FormatOption,
    MonitorOption,
    PolicyOption,
    StateOption,
    ToolsOption,
    print_json,
)
from ostiary.cli.printable import printable
from ostiary.errors import CallerFault
from ostiary.policy.diagnostic import PolicyError
from ostiary.policy.load import document
from ostiary.policy.testing.report import report_json, report_lines
from ostiary.policy.testing.run import run_tests
from ostiary.proxy.policy_file import read_policy, render
from ostiary.proxy.tests_file import find_tests, read_test_file, tools_of


def run(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The policy, JSON or YAML.", show_default=False)
    ] = None,
    policy: PolicyOption = None,
    tests: Annotated[
        Path | None,
        typer.Option(
            "--tests",
            metavar="FILE",
            help="The tests; default: those beside the policy.",
            show_default=False,
        ),
    ] = None,
    tools: ToolsOption = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="List the rules that no test exercised both ways.")
    ] = False,
    unsafe_monitor: MonitorOption = False,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Decide the calls in a tests file, and say which were not decided as they must be.

    The tests of `policy.yaml` stand beside it, in `policy.tests.yaml` or `.json`.
    Nothing is called, and no counter is filled.

    Exit status: 0 all passed, 1 some failed, 2 could not run.
    """
    file = file or policy
    if file is None:
        raise CallerFault("which policy? none was named", hint="ostiary policy test FILE")
    try:
        loaded = document(read_policy(file), file=str(file), unsafe_monitor=unsafe_monitor)
        cases = read_test_file(tests or _beside(file))
        result = run_tests(cases, loaded, tools_of(cases, tools))
    except PolicyError as error:
        raise CallerFault("the tests cannot be run\n" + render(error.diagnostics)) from error
    if format_ is Format.json:
        print_json(report_json(result))
    else:
        for line in report_lines(result, coverage=coverage):
            typer.echo(printable(line))
    raise typer.Exit(1 if result.failures else 0)


def _beside(policy: Path) -> Path:
    found = find_tests(policy)
    if found is None:
        raise CallerFault(
            f"there are no tests beside `{policy}`",
            hint=f"write `{policy.stem}.tests.yaml`, or name a file with --tests",
        )
    return found
