"""What a run may call, and what it is told of the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.toolbox import ToolFault
from ostiary.servers.code.find import found
from ostiary.servers.code.functions import Function, functions_of
from ostiary.servers.code.tools import LOOKING, Tools, bind
from tests.servers.code.test_functions import ZONE, tool

KNOWN = functions_of({"Time": [tool("now", ZONE), tool("convert")], "My Files": [tool("read")]})
OFFERED = ("Time", "My Files")


async def echo(function: Function, arguments: Mapping[str, Any]) -> Any:
    return function.tool, dict(arguments)


def tools(*, servers: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> Tools:
    return Tools(bind(KNOWN, servers, names, OFFERED), KNOWN, OFFERED, echo)


def test_only_what_was_asked_for_can_be_called() -> None:
    some = tools(servers=("Time",), names=("mcp_My_Files_read",))

    assert some.names == LOOKING.keys() | {"mcp_Time_now", "mcp_Time_convert", "mcp_My_Files_read"}
    assert tools().names == LOOKING.keys()
    assert asyncio.run(some.call("mcp_Time_now", ("UTC",), {})) == ("now", {"zone": "UTC"})


def test_a_server_is_named_as_it_is_or_as_its_functions_spell_it() -> None:
    spelled = [tools(servers=(one,)).names - LOOKING.keys() for one in ("My Files", "My_Files")]

    assert spelled == [{"mcp_My_Files_read"}] * 2


def test_a_name_that_was_not_asked_for_says_which_entry_is_missing() -> None:
    said = tools(servers=("My Files",)).missing("mcp_Time_now")

    assert said == (
        "mcp_Time_now was not asked for: add `mcp_Time_now` to required_tools, or `Time` to mcp_server_names"
    )
    with pytest.raises(ToolFault, match="add `mcp_Time_now` to required_tools"):
        asyncio.run(tools().call("mcp_Time_now", (), {}))


def test_a_name_that_there_is_not_says_what_comes_near() -> None:
    assert tools().missing("mcp_Time_nov") == "there is no tool mcp_Time_nov; did you mean `mcp_Time_now`"
    assert tools().missing("zip_codes") is None


@pytest.mark.parametrize(
    ("servers", "names", "what", "hint"),
    [
        (("Tme",), (), "there is no server `Tme`", "did you mean `Time`"),
        (("Q",), (), "there is no server `Q`", "the servers are Time, My Files"),
        ((), ("mcp_Time_nwo",), "there is no tool `mcp_Time_nwo`", "did you mean `mcp_Time_now`"),
    ],
)
def test_an_entry_that_means_nothing_is_refused_before_the_run(
    servers: tuple[str, ...], names: tuple[str, ...], what: str, hint: str
) -> None:
    with pytest.raises(CallerFault, match=what) as told:
        bind(KNOWN, servers, names, OFFERED)

    assert told.value.hint == hint


def test_a_search_ranks_names_before_descriptions_and_is_the_same_each_time() -> None:
    known = functions_of({"A": [tool("send_mail"), tool("list_rows"), tool("mail_merge")]})

    best = [one.tool for one in found(known.values(), "send mail", 2)]

    assert best == ["send_mail", "mail_merge"]
    assert [one.tool for one in found(known.values(), "", 9)] == ["list_rows", "mail_merge", "send_mail"]
