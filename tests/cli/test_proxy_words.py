"""Where the options of `ostiary proxy` end and the server's command begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostiary.cli.proxy import read_options
from ostiary.errors import CallerFault


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "p.json", "--", "server", "-p", "9", "--deep"],
        ["-p", "p.json", "server", "-p", "9", "--deep"],  # a launcher took the `--` for its own
    ],
)
def test_what_follows_the_options_is_the_server_s_own(words: list[str]) -> None:
    options = read_options(words)

    assert (options.policy, options.command) == (Path("p.json"), ("server", "-p", "9", "--deep"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["p.json", "--", "server"], "unexpected argument `p.json`"),
        (["--polcy", "p.json", "server"], "unknown option `--polcy`"),
        (["--upstream", "http://127.0.0.1/mcp", "server"], "both --upstream and a command were given"),
        (["-p", "p.json"], "nothing to stand in front of"),
    ],
)
def test_a_word_that_can_be_neither_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(CallerFault) as caught:
        read_options(words)

    assert caught.value.message == message
