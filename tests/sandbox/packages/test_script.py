"""The block with which a script says what it needs."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.sandbox.packages.fault import PackageFault
from ostiary.sandbox.packages.script import MAX_BLOCKS, Script, check_python, read_script


def block(*lines: str, kind: str = "script") -> str:
    """A block that holds `lines` of TOML."""
    return "\n".join([f"# /// {kind}", *(f"# {line}" if line else "#" for line in lines), "# ///", ""])


ASKING = block('requires-python = ">=3.11"', "dependencies = [", '  "humanize>=4",', "", '  "numpy",', "]")


def test_a_script_says_what_it_needs() -> None:
    script = read_script(f"#!/usr/bin/env python\n{ASKING}\nimport humanize\n")

    assert script == Script(("humanize>=4", "numpy"), ">=3.11")


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_the_line_ending_of_the_file_makes_no_difference(ending: str) -> None:
    assert read_script(ASKING.replace("\n", ending)).dependencies == ("humanize>=4", "numpy")


@pytest.mark.parametrize(
    "code",
    [
        "print(1)\n",
        "# /// script\n# dependencies = ['a']\n",
        "# /// script\n# dependencies = ['a']\n\n# ///\n",
        " # /// script\n # dependencies = ['a']\n # ///\n",
        "#/// script\n# dependencies = ['a']\n# ///\n",
        block("dependencies = ['a']", kind="pyproject"),
    ],
    ids=["none", "unclosed", "interrupted", "indented", "without a space", "of another type"],
)
def test_what_is_no_script_block_asks_for_nothing(code: str) -> None:
    assert read_script(code) == Script()


def test_a_line_that_looks_like_an_end_belongs_to_the_block_when_the_comment_goes_on() -> None:
    """The pattern of the specification takes the last `# ///` of a comment."""
    code = '# /// script\n# dependencies = ["a"]\n# x = """\n# ///\n# """\n# ///\n'

    assert read_script(code).dependencies == ("a",)


def test_two_script_blocks_are_an_error() -> None:
    with pytest.raises(PackageFault, match="more than one script block"):
        read_script(f"{ASKING}\n{ASKING}")


def test_a_block_of_another_type_beside_it_is_none_of_ours() -> None:
    other = block("[tool]", kind="other")

    assert read_script(f"{other}\n{ASKING}").requires_python == ">=3.11"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["dependencies = ["], "not valid TOML"),
        (["a = 1", "a = 2"], "not valid TOML"),
        (["dependencies = 'a'"], "list of strings"),
        (["dependencies = [1]"], "list of strings"),
        (["requires-python = 3"], "must be a string"),
        (["tool = 1"], "must be a table"),
        (["[tool]", "uv = 1"], "must be a table"),
        (["x = " + "[" * 5_000], "not valid TOML"),
        (["x = '" + "y" * 70_000 + "'"], "longer than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_block_that_cannot_be_read_is_refused(lines: list[str], says: str) -> None:
    with pytest.raises(PackageFault, match=says):
        read_script(block(*lines))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['index-url = "https://elsewhere.example/simple"'], "may not choose the package index"),
        (["[[tool.uv.index]]", 'url = "https://elsewhere.example/simple"'], "may not choose"),
        (['extra-index-url = ["https://elsewhere.example"]'], "`extra-index-url` .* not supported"),
        (['find-links = ["/home"]'], "`find-links` .* not supported"),
        (["[tool.uv.sources]", 'a = {path = "/home"}'], "`sources` .* not supported"),
        (['exclude-newer = "2026-01-01T00:00:00Z"'], "`exclude-newer` .* not supported"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_settings_that_change_what_is_installed_are_refused(lines: list[str], says: str) -> None:
    with pytest.raises(PackageFault, match=says):
        read_script(block("[tool.uv]", *lines))


@pytest.mark.parametrize(
    "lines",
    [
        ["[tool.uv]", 'index-url = "https://inner.example/simple"'],
        ["[[tool.uv.index]]", 'url = "https://inner.example/simple"', "default = true"],
    ],
)
def test_a_script_may_name_the_index_where_the_operator_allows_it(lines: list[str]) -> None:
    assert read_script(block(*lines), allow_index=True).index_url == "https://inner.example/simple"


def test_two_indexes_are_refused_even_where_one_is_allowed() -> None:
    lines = [
        "[[tool.uv.index]]",
        'url = "https://a.example"',
        "[[tool.uv.index]]",
        'url = "https://b.example"',
    ]

    with pytest.raises(PackageFault, match="exactly one index"):
        read_script(block(*lines), allow_index=True)


def test_a_script_for_another_python_is_refused() -> None:
    with pytest.raises(
        PackageFault, match=r"requires Python '>=3\.13', and this engine runs Python 3\.11\.7"
    ):
        check_python(">=3.13", "3.11.7")


@pytest.mark.parametrize("requires", ["", ">=3.11", ">=3.11,<4", "~=3.11", "==3.11.*"])
def test_a_script_for_this_python_passes(requires: str) -> None:
    check_python(requires, "3.11.7")


def test_a_prerelease_of_python_meets_an_open_bound() -> None:
    check_python(">=3.14", "3.15.0a1")


def test_a_python_version_that_is_none_is_refused() -> None:
    with pytest.raises(PackageFault, match="not a version specifier"):
        check_python("three", "3.11.7")


def test_code_full_of_beginnings_is_refused_at_once() -> None:
    code = "# /// script\n" * 50_000

    began = time.process_time()
    with pytest.raises(PackageFault, match=f"more than {MAX_BLOCKS} lines"):
        read_script(code)

    assert time.process_time() - began < 1


def test_a_long_comment_is_read_in_time() -> None:
    code = "# /// script\n" + "# x\n" * 100_000 + "x"

    began = time.process_time()
    assert read_script(code) == Script()

    assert time.process_time() - began < 2


@given(st.text(alphabet="# /script\n\r=[]'\"ax-", max_size=200))
def test_no_code_makes_the_reader_fail_otherwise(code: str) -> None:
    try:
        script = read_script("# /// script\n" + code)
    except PackageFault:
        return

    assert isinstance(script, Script)
