"""`ostiary policy`: check a policy, and ask what it says to a call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli import policy_convert, policy_fmt, policy_tests
from ostiary.cli.completion import GRANTS, TOOLS
from ostiary.cli.options import (
    Format,
    FormatOption,
    MonitorOption,
    PolicyOption,
    ServerOption,
    StateOption,
    ToolsOption,
    print_json,
)
from ostiary.cli.printable import printable, printable_lines, say
from ostiary.errors import CallerFault
from ostiary.policy.check import check_against
from ostiary.policy.compile import compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.policy.definition import Catalogue
from ostiary.policy.diagnostic import Diagnostic, PolicyError
from ostiary.policy.explain import explain as explained
from ostiary.policy.explain import explain_lines
from ostiary.policy.jsonschema_export import schema as policy_schema
from ostiary.policy.load import load_text
from ostiary.policy.model import Document
from ostiary.policy.testing.run import check_servers
from ostiary.policy.understanding import understood
from ostiary.proxy.policy_file import policy_for, read_policy
from ostiary.proxy.tests_file import find_tests, read_test_file
from ostiary.proxy.tool_file import read_tools
from ostiary.wire.strict import Refused, parse_json

app = typer.Typer(help="Check a policy and see what it decides.", no_args_is_help=True)

app.command("test", short_help="Decide the calls in a tests file and compare.")(policy_tests.run)
app.command("convert", short_help="Write a policy of any format as Ostiary's own.")(policy_convert.convert)
app.command("fmt", short_help="Write policies in one style.")(policy_fmt.fmt)


@app.command("check", short_help="Say whether a policy is valid, and what it means.")
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The policy, JSON or YAML.", show_default=False)
    ] = None,
    policy: PolicyOption = None,
    tools: ToolsOption = None,
    unsafe_monitor: MonitorOption = False,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Say whether a policy is valid, what it was understood to mean, and what looks wrong.

    Exit status: 0 valid, 1 invalid, 2 could not be read.
    """
    file = file or policy
    if file is None:
        raise CallerFault("which policy? none was named", hint="ostiary policy check FILE")
    found, diagnostics = load_text(read_policy(file), file=str(file), unsafe_monitor=unsafe_monitor)
    if found is not None and tools is not None:
        diagnostics = [*diagnostics, *_against(found, read_tools(tools))]
    path, count, problems = _tests_of(file, found)
    diagnostics = [*diagnostics, *problems]
    ok = found is not None and not any(item.severity == "error" for item in diagnostics)
    meaning = understood(found).split("\n") if found is not None and ok else []
    if format_ is Format.json:
        shown = [_as_json(item) for item in diagnostics]
        tests = None if path is None else {"file": str(path), "count": count}
        print_json({"v": 1, "ok": ok, "diagnostics": shown, "understood": meaning, "tests": tests})
    else:
        for item in diagnostics:
            typer.echo(printable_lines(item.render()), err=True)
        say(meaning)
        if path is not None and not problems:
            say([f"{count:,} tests in {path}, not run here: see `ostiary policy test`"])
        if not ok:
            typer.echo(printable(f"{file}: not valid"), err=True)
    raise typer.Exit(0 if ok else 1)


@app.command("explain", short_help="Say what a policy decides about one call, and why.")
def explain(
    tool: Annotated[
        str, typer.Option("--tool", metavar="NAME", help="The tool that is called.", autocompletion=TOOLS)
    ],
    policy: PolicyOption = None,
    args: Annotated[str, typer.Option("--args", metavar="JSON", help="The arguments, as JSON.")] = "{}",
    tools: ToolsOption = None,
    grant: Annotated[
        str, typer.Option("--grant", metavar="NAME", help="Whose call it is.", autocompletion=GRANTS)
    ] = "local",
    server: ServerOption = "local",
    unsafe_monitor: MonitorOption = False,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Say what a policy decides about one call, by which rules, and why. Nothing is called.

    Exit status: 0 allowed, 1 denied or held, 2 could not run. Without a policy every call is denied.
    """
    compiled = None
    if policy is not None:
        found, diagnostics = load_text(read_policy(policy), file=str(policy), unsafe_monitor=unsafe_monitor)
        if found is None or any(item.severity == "error" for item in diagnostics):
            raise CallerFault("the policy is not valid\n" + "\n".join(item.render() for item in diagnostics))
        compiled = compile_policy(policy_for(found, server))
    question = Question(
        tool=tool,
        arguments=_arguments(args),
        grant=grant,
        server=server,
        catalogue=read_tools(tools) if tools is not None else None,
    )
    decision = decide(compiled, question)
    if format_ is Format.json:
        print_json(explained(decision))
    else:
        say(explain_lines(decision))
    raise typer.Exit(0 if decision.effect == "allow" else 1)


@app.command("schema", short_help="Print the JSON Schema of policies, for editors.")
def schema(state_dir: StateOption = None) -> None:
    """Print the JSON Schema of Ostiary's own policy format, for editors.

    Exit status: 0 done.
    """
    print_json(policy_schema())


def _arguments(text: str) -> dict[str, object]:
    try:
        value = parse_json(text.encode())
    except Refused as error:
        raise CallerFault(f"--args: {error.message}") from error
    if not isinstance(value, dict):
        raise CallerFault(
            "--args: expected a JSON object", hint="""for example --args '{"path": "/tmp/x"}'"""
        )
    return dict(value)


def _tests_of(policy: Path, found: Document | None) -> tuple[Path | None, int, Sequence[Diagnostic]]:
    """The tests beside a policy: file, number of calls, and what keeps them from being run."""
    path = find_tests(policy)
    if path is None:
        return None, 0, ()
    try:
        cases = read_test_file(path).cases
    except PolicyError as error:
        return path, 0, error.diagnostics
    return path, len(cases), () if found is None else check_servers(cases, found)


def _against(found: Document, catalogue: Catalogue) -> list[Diagnostic]:
    policies = [found.single] if found.single is not None else list(found.servers.values())
    return [item for policy in policies for item in check_against(policy, catalogue)]


def _as_json(item: Diagnostic) -> dict[str, object]:
    return {
        "severity": item.severity,
        "code": item.code,
        "message": item.message,
        "file": item.file,
        "line": item.line,
        "column": item.column,
        "hint": item.hint,
    }
