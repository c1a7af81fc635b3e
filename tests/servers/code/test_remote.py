"""Servers that clients ask for: which URLs, which headers, and what an operator makes of a request."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ostiary.builtin import CodeOptions
from ostiary.errors import CallerFault
from ostiary.servers.code.remote import checked_headers, checked_url
from ostiary.store import aside, server_requests
from tests.e2e.world import HttpServer, everything_over_http
from tests.servers.code.inside import SECONDS, Client, World, code_mode
from tests.servers.python.world import OSTIARY

TOKEN = "abcdefgh12345678ijklmnop"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://a.example.org/", "expected http"),
        ("https://user:pw@a.example.org/mcp", "user information"),
        ("https://a.example.org#@b.example.org/", "user information"),
        ("https://a.example.org/mcp#part", "no fragment"),
        ("https://a.example.org/mcp?api_key=x", "looks like a credential"),
        ("https://a.example.org/mcp?profile=" + TOKEN, "looks like a credential"),
        ("https://a.example.org/" + TOKEN + "/mcp", "looks like a credential"),
        ("https://a.example.org/%61bcdefgh12345678ijklmnop/mcp", "looks like a credential"),
        ("https://a.example.org/" + "x" * 3_000, "expected http"),
        ("http://127.0.0.1/mcp", "a private address"),
        ("http://10.1.2.3/mcp", "a private address"),
        ("http://192.168.1.1:8080/", "a private address"),
        ("http://169.254.169.254/latest", "link-local, metadata"),
        ("http://[::1]/mcp", "address"),
        ("http://[::ffff:127.0.0.1]/mcp", "address"),
        ("http://2130706433/mcp", "address"),
        ("http://0x7f.1/mcp", "address"),
        ("http://localhost/mcp", "a name of this machine"),
        ("http://LOCALHOST./mcp", "a name of this machine"),
        ("http://intranet/mcp", "a name of this machine"),
        ("http://db.internal/mcp", "a name of this machine"),
        ("https://a.example.org\\@b.example.org/", "url: it"),
        ("https://a.example.org/\nmcp", "url: it"),
        ("nothing", "url: it"),
    ],
)
def test_a_url_that_hides_a_secret_or_leads_inside_is_refused(url: str, said: str) -> None:
    with pytest.raises(CallerFault, match=said) as caught:
        checked_url(url)
    assert TOKEN not in str(caught.value)


def test_a_plain_url_is_fine_and_the_operator_can_open_the_own_network() -> None:
    for url in ("https://tools.example.org/mcp", "https://tools.example.org:8443/mcp?profile=reading"):
        assert checked_url(url) == url
    assert checked_url("http://127.0.0.1:8000/mcp", private=True)
    with pytest.raises(CallerFault, match="metadata"):
        checked_url("http://169.254.169.254/", private=True)


def test_a_header_names_a_variable_and_goes_over_https_only() -> None:
    url = "https://tools.example.org/mcp"
    assert checked_headers({"Authorization": "Bearer ${TICKETS}", "X-Key": "${KEY}"}, url)
    for value in (f"Bearer {TOKEN}", TOKEN, "${A}${B}", "${A} and " + TOKEN, "", "$KEY", "${a-b}"):
        with pytest.raises(CallerFault, match="has to name a variable") as caught:
            checked_headers({"Authorization": value}, url)
        assert TOKEN not in str(caught.value)
    for name in ("Host", "Mcp-Session-Id", "a b", "Content-Length"):
        with pytest.raises(CallerFault):
            checked_headers({name: "${KEY}"}, url)
    with pytest.raises(CallerFault, match="only sent over https"):
        checked_headers({"Authorization": "${KEY}"}, "http://tools.example.org/mcp")


def inside(folder: Path, body: Callable[[World], Awaitable[None]], *, private: bool = False) -> None:
    async def main() -> None:
        async with asyncio.timeout(SECONDS), code_mode(folder, private=private) as world:
            await body(world)

    asyncio.run(main())


async def operator(folder: Path, *words: str) -> str:
    """A command of an operator, beside the running gate."""
    command = [*OSTIARY, "code", "servers", *words, "--state-dir", str(folder / "state")]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=20, check=True
    )
    return str(done.stdout)


async def until(client: Client, asked: dict[str, Any], **wanted: object) -> dict[str, Any]:
    """Ask again until the answer is so: a gate looks a few times a second."""
    async with asyncio.timeout(5):
        while True:
            seen = await client.data("addRemoteMcpServer", **asked)
            if wanted.items() <= seen.items():
                return seen
            await asyncio.sleep(0.02)


@pytest.mark.timeout(120)
@pytest.mark.service
def test_a_server_is_connected_once_an_operator_agreed_and_left_when_they_change_their_mind(
    tmp_path: Path,
) -> None:
    remote = everything_over_http(tmp_path / "log")
    try:
        inside(tmp_path, lambda world: _agreed(world, tmp_path, remote), private=True)
    finally:
        remote.stop()


async def _agreed(world: World, folder: Path, remote: HttpServer) -> None:
    client, other = world.client("ann"), world.client("ben")
    asked = {"name": "Remote", "url": remote.url, "description": "to echo"}
    filed = await client.data("addRemoteMcpServer", **asked)
    again = await client.data("addRemoteMcpServer", **asked)
    assert filed == again
    assert (filed["status"], filed["connected"]) == ("pending", False)
    assert "there is no server `Remote`" in await client.told(
        "executeCode", script="1", mcp_server_names=["Remote"]
    )
    assert remote.url in await operator(folder, "requests")

    await operator(folder, "approve", str(filed["request"]))
    await until(client, asked, status="approved", connected=True)

    found = await other.data("searchTools", server="Remote", limit=50)
    assert set(found["servers"]) == {"Remote"}  # for every client, as the servers of the file are
    sums = await client.data(
        "executeCode", script="mcp_Remote_echo(message='a')", mcp_server_names=["Remote"]
    )
    assert sums["result"] == "Echo: a"

    theirs = await other.data("addRemoteMcpServer", **(asked | {"url": "https://tools.example.org/mcp"}))
    assert (theirs["status"], theirs["connected"]) == ("pending", False)  # by the name of one that is there

    await operator(folder, "reject", str(filed["request"]), "--note", "not any more")
    last = await until(client, asked, status="rejected", connected=False)
    assert last["note"] == "not any more"
    assert "Remote" not in (await client.data("searchTools"))["servers"]
    events = [one.method for one in await world.events() if one.method.startswith("server-")]
    assert events == [
        "server-request",
        "server-approved",
        "server-added",
        "server-request",
        "server-rejected",
    ]


@pytest.mark.timeout(120)
@pytest.mark.service
def test_a_request_is_for_names_of_its_own_and_is_kept_apart_by_owner(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        ann, ben = world.client("ann"), world.client("ben")
        url = "https://tools.example.org/mcp"
        for name, said in (
            ("Odd", "there is a server `Odd` already"),
            ("Odd_more", "would look like those of `Odd`"),
            ("odd", "would look like those of `Odd`"),
            ("code", "is the server that runs the code"),
            ("a'b", "is not a name"),
            ("a\nb", "is not a name"),
        ):
            assert said in await ann.told("addRemoteMcpServer", name=name, url=url)
        first = await ann.data("addRemoteMcpServer", name="Web", url=url)
        second = await ben.data("addRemoteMcpServer", name="Web", url=url)
        assert first["request"] != second["request"]
        assert "a private address" in await ann.told("addRemoteMcpServer", name="In", url="http://10.0.0.1/")

    inside(tmp_path, body)


@pytest.mark.timeout(120)
@pytest.mark.service
def test_a_secret_of_code_is_sent_to_no_requested_server_that_it_is_not_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(
        """
[secrets.TICKETS]
env = "THE_TOKEN"
hosts = ["tickets.example.org"]
grants = []
[secrets.KEY]
env = "THE_KEY"
mode = "value"
grants = []
""",
        encoding="utf-8",
    )
    file.chmod(0o600)
    asked = {
        "Elsewhere": ("https://tools.example.org/mcp", "Bearer ${THE_TOKEN}"),
        "Valued": ("https://tickets.example.org/mcp", "${THE_KEY}"),
        "Tickets": ("https://tickets.example.org/mcp", "Bearer ${THE_TOKEN}"),
        "Other": ("https://tools.example.org/mcp", "${ANOTHER}"),
    }
    variables = {"THE_TOKEN": TOKEN, "THE_KEY": TOKEN[::-1], "ANOTHER": "of-no-secret"}

    async def main() -> None:
        more = CodeOptions(servers=tmp_path, secrets=file)
        async with code_mode(tmp_path, more=more, variables=variables) as world:
            client = world.client()
            for name, (url, header) in asked.items():
                request = {"name": name, "url": url, "headers": {"Authorization": header}}
                number = (await client.data("addRemoteMcpServer", **request))["request"]
                with aside.transaction(world.post.premises.state) as connection:
                    server_requests.decide(connection, number, "approved", who="user:t", note="", at=1)
            await until(client, request, connected=True)
            added = [one.note for one in await world.events() if one.method == "server-added"]

        assert [note.split()[2] for note in added] == ["Tickets", "Other"]
        told = capfd.readouterr().err
        assert "the value of the secret `TICKETS`, which is not for tools.example.org:443" in told
        assert "the value of the secret `KEY`, which is not for tickets.example.org:443" in told
        assert TOKEN not in told

    asyncio.run(main())
