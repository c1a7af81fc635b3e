"""One reader of commands: what is judged as a package is what is shown, and what is shown holds no value."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ostiary.registry.launch import of_command
from ostiary.registry.launcher import LAUNCHERS, Launcher
from ostiary.registry.subject import pypi
from ostiary.scan.clients.launch import launch

KINDS = {"npm": "npm", "pypi": "pypi", "image": "oci"}


PACKAGES = {
    "npm": ["pkg", "pkg@1.2.3", "@me/pkg@^1", "me/pkg", "./pkg"],
    "pypi": ["pkg", "pkg@1.2.3", "pkg==1.2.3", "pkg[all]>=1", "git+https://example.org/me/pkg"],
    "oci": ["pkg", "me/pkg:1.2.3", "example.org:5000/pkg", f"pkg@sha256:{'a' * 64}"],
}


@st.composite
def commands(draw: st.DrawFn, *, values: list[str], naming: bool) -> list[str]:
    """A launcher with options of its own and one that nobody knows, and a package behind them."""
    launcher: Launcher = draw(st.sampled_from(LAUNCHERS))
    known, passed = launcher.known, launcher.passed
    silent = [*sorted(known.silent | passed.silent), "--unheard-of"]
    taking = known.taking | known.source | passed.taking
    valued = sorted((taking | known.naming | passed.naming) if naming else taking)
    words = st.one_of(
        st.sampled_from(silent).map(lambda option: [option]),
        st.tuples(st.sampled_from(valued), st.sampled_from(values)).map(list),
        st.builds("{}={}".format, st.sampled_from([*valued, *silent]), st.sampled_from(values)).map(
            lambda word: [word]
        ),
    )
    before = draw(st.lists(words, max_size=4))
    end = draw(st.sampled_from([[], ["--"]]))
    package = draw(st.sampled_from(PACKAGES[launcher.kind]))
    return [*launcher.words, *(word for each in before for word in each), *end, package, "more"]


@given(commands(values=["other", "3.12", "./evil", "A=b", ""], naming=True))
@example(["pipx", "run", "--spec", "3.12", "pkg"])
def test_what_is_judged_as_a_package_is_shown_as_that_package(command: list[str]) -> None:
    judged, shown = of_command(command, {}, "/work"), launch(command)
    assume(judged.kind in KINDS and "odd-name" not in {sign.code for sign in judged.signs})

    named = pypi(shown.package).name if shown.source == "pypi" else shown.package  # `3.12` is `3-12` there
    assert (shown.source, named) == (KINDS[judged.kind], judged.name)


@given(commands(values=["s3cret"], naming=False))
def test_the_value_of_an_option_is_never_shown_as_the_package(command: list[str]) -> None:
    assert "s3cret" not in launch(command).text


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("npx --offline pkg@1.2.3", "npx pkg@1.2.3"),
        ("npm exec --verbose pkg", "npm exec pkg"),
        ("docker run -d -i mcp/time:1", "docker mcp/time:1"),
        ("pipx run --pip-args word pkg", "pipx pkg"),
    ],
)
def test_an_option_that_a_package_is_judged_with_keeps_none_from_being_shown(command: str, text: str) -> None:
    assert launch(command.split()).text == text


@pytest.mark.parametrize(
    "command",
    [
        "pnpm exec pkg", "bun x pkg", "nerdctl run pkg", "docker container run pkg", "npx --userconfig f pkg",
        "npx --unheard-of=1 pkg", "uvx --with other pkg", "uvx --python=./evil pkg", "/usr/bin/npx pkg",
        "docker run --privileged pkg", "env A=b npx pkg",
    ],
)  # fmt: skip
def test_a_command_that_is_shown_with_its_package_is_not_judged_by_it_for_that(command: str) -> None:
    assert launch(command.split()).package == "pkg"
    assert of_command(command.split(), {}, "/work").kind == "local"
