"""docs/reference/cli.md names every command and every option, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import typer.main

from ostiary.cli.app import build
from ostiary.cli.proxy import parser
from ostiary.cli.run import COMMANDS
from ostiary.cli.run import parser as run_parser
from tests.docs.markdown import ROOT, headings

PAGE = ROOT / "docs/reference/cli.md"
OWN = {"ostiary proxy": parser} | {
    f"ostiary run {name}": partial(run_parser, command) for name, command in COMMANDS.items()
}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Full name of every command, with its long options."""
    # Read by attributes, because typer may carry a click of its own.
    pending = [("ostiary", typer.main.get_command(build()))]
    while pending:
        name, command = pending.pop()
        below = getattr(command, "commands", None)
        if below:
            pending += [(f"{name} {word}", inner) for word, inner in below.items() if not inner.hidden]
        options = [
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("--") and not getattr(parameter, "hidden", False)
        ]
        if name in OWN:  # they start often and read their options without typer
            options = [word for word in OWN[name]()._option_string_actions if word.startswith("--")]
        if not below or name == "ostiary":
            yield name, sorted(set(options) - {"--help", "--install-completion", "--show-completion"})


def sections() -> dict[str, str]:
    """Text below each `## ostiary …` heading."""
    parts = re.split(r"^## `(ostiary[^`]*)`$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    documented = {heading for heading in headings(PAGE) if heading.startswith("ostiary")}

    assert documented == {name for name, _ in commands()}


def test_every_option_stands_in_its_commands_section() -> None:
    found = sections()

    missing = [
        f"{name} {option}"
        for name, options in commands()
        for option in options
        if not re.search(rf"`{option}[ `=]", found.get(name, ""))
    ]

    assert missing == []


def test_no_section_names_an_option_that_the_command_does_not_have() -> None:
    real = dict(commands())

    invented = [
        f"{name} {option}"
        for name, text in sections().items()
        for option in re.findall(r"^\| `(--[a-z-]+)", text, flags=re.MULTILINE)
        if option not in real.get(name, [])
    ]

    assert invented == []
