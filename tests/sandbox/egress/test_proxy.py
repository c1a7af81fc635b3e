"""The allow-list proxy: what is on the list is reached, and nothing else is."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

import pytest

from ostiary.sandbox.egress.caps import Caps
from ostiary.sandbox.egress.places import Allowed
from tests.sandbox.egress.way import rest, run, way


def connect(target: str, extra: str = "") -> bytes:
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{extra}\r\n".encode()


async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the request, whose body ends in `body`."""
    writer.write(await reader.readuntil(b"\r\n\r\nbody"))
    writer.close()


def test_a_tunnel_carries_bytes_both_ways_and_is_recorded() -> None:
    async def main() -> None:
        async with way() as here, here.tunnel() as (reader, writer):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.write_eof()
            assert await rest(reader) == b""

            passage = await here.passage()
            assert (passage.place, passage.verdict) == (f"open.example:{here.port}", "passed")
            assert (passage.sent, passage.received) == (5, 5)

    run(main)


def test_an_old_client_connects_without_a_host_field() -> None:
    async def main() -> None:
        async with way() as here:
            answer = await here.ask(f"CONNECT open.example:{here.port} HTTP/1.0\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 200 ")

    run(main)


def test_a_plain_request_is_sent_on_in_origin_form_and_without_what_was_for_the_proxy() -> None:
    async def main() -> None:
        async with way(serve=mirror) as here:
            place = f"open.example:{here.port}"
            got = await here.ask(
                f"POST http://Open.Example:{here.port}?q=1 HTTP/1.1\r\nHost: {place}\r\nX-Mine: 1\r\n"
                "Connection: keep-alive, X-Drop\r\nX-Drop: 1\r\nProxy-Authorization: Basic eA==\r\n"
                "Content-Length: 4\r\n\r\nbody".encode()
            )
            assert got == (
                f"POST /?q=1 HTTP/1.1\r\nhost: {place}\r\nconnection: close\r\nx-mine: 1\r\n"
                "content-length: 4\r\n\r\nbody".encode()
            )

    run(main)


def test_a_client_cannot_have_the_length_of_its_body_dropped() -> None:
    """`Connection: content-length` would leave the body to be read as the next request."""

    async def main() -> None:
        async with way(serve=mirror) as here:
            place = f"open.example:{here.port}"
            got = await here.ask(
                f"POST http://{place}/ HTTP/1.1\r\nHost: {place}\r\nConnection: content-length\r\n"
                "Content-Length: 4\r\n\r\nbody".encode()
            )
            assert b"content-length: 4\r\n" in got

    run(main)


HOSTILE = {
    "not on the list": ("evil.example:443", 403),
    "another port": ("open.example:22", 403),
    "below a listed host": ("a.open.example:PORT", 403),
    "a listed host as a prefix": ("open.example.evil.example:PORT", 403),
    "the address of a listed host": ("127.0.0.1:PORT", 403),
    "localhost": ("localhost:PORT", 403),
    "an IPv6 loopback": ("[::1]:PORT", 403),
    "metadata": ("169.254.169.254:80", 403),
    "a mapped loopback": ("[::ffff:127.0.0.1]:PORT", 400),
    "hexadecimal": ("0x7f.1:PORT", 400),
    "one number": ("2130706433:PORT", 400),
    "octal": ("0177.0.0.1:PORT", 400),
    "short": ("127.1:PORT", 400),
    "no port": ("open.example", 400),
    "port zero": ("open.example:0", 400),
    "a port too large": ("open.example:70000", 400),
    "a padded port": ("open.example:0PORT", 400),
    "a signed port": ("open.example:+PORT", 400),
    "user information": ("open.example@evil.example:PORT", 400),
    "a path": ("open.example:PORT/x", 400),
    "a zone": ("[fe80::1%25lo]:PORT", 400),
    "an encoded dot": ("open%2eexample:PORT", 400),
    "an empty label": ("open..example:PORT", 400),
    "nothing": (":PORT", 400),
}


@pytest.mark.parametrize(("target", "status"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_tunnel_elsewhere_is_refused(target: str, status: int) -> None:
    async def main() -> None:
        async with way() as here:
            answer = await here.ask(connect(target.replace("PORT", str(here.port))))
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
            assert here.came == 0
            assert (await here.passage()).verdict == "refused"

    run(main)


@pytest.mark.parametrize("spelling", ["OPEN.example", "open.example.", "Open.Example."])
def test_case_and_a_final_dot_make_no_other_host(spelling: str) -> None:
    async def main() -> None:
        async with way() as here:
            assert (await here.ask(connect(f"{spelling}:{here.port}"))).startswith(b"HTTP/1.1 200 ")
            assert here.asked == ["open.example"]

    run(main)


AT = "open.example:PORT"
TUNNEL = f"CONNECT {AT} HTTP/1.1\r\nHost: {AT}\r\n"
GET = f"GET http://{AT}/ HTTP/1.1\r\nHost: {AT}\r\n"
POST = f"POST http://{AT}/ HTTP/1.1\r\nHost: {AT}\r\n"

SMUGGLED = {
    "a body on connect": (TUNNEL + "Content-Length: 3\r\n\r\nabc", 400),
    "a chunked connect": (TUNNEL + "Transfer-Encoding: chunked\r\n\r\n", 400),
    "bytes right behind connect": (TUNNEL + "\r\nGET / HTTP/1.1", 400),
    "another host field": ("CONNECT open.example:PORT HTTP/1.1\r\nHost: evil.example:PORT\r\n\r\n", 400),
    "no host field": ("CONNECT open.example:PORT HTTP/1.1\r\n\r\n", 400),
    "two host fields": (GET + "Host: evil.example\r\n\r\n", 400),
    "host without the port": ("GET http://open.example:PORT/ HTTP/1.1\r\nHost: open.example\r\n\r\n", 400),
    "two lengths": (POST + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "length and chunks": (POST + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
    "a list of lengths": (POST + "Content-Length: 1, 1\r\n\r\na", 400),
    "a signed length": (POST + "Content-Length: +1\r\n\r\na", 400),
    "a second request": (GET + "\r\nGET http://evil.example/ HTTP/1.1\r\n\r\n", 400),
    "a folded field": (GET + "X: a\r\n b\r\n\r\n", 400),
    "a space before the colon": (
        "GET http://open.example:PORT/ HTTP/1.1\r\nHost : open.example:PORT\r\n\r\n",
        400,
    ),
    "a bare line feed": ("GET http://open.example:PORT/ HTTP/1.1\nHost: open.example:PORT\r\n\r\n", 400),
    "a line feed in a field": (GET + "X: a\nY: b\r\n\r\n", 400),
    "a carriage return in a field": (GET + "X: a\rY: b\r\n\r\n", 400),
    "a nul": ("GET http://open.example:PORT/\x00 HTTP/1.1\r\nHost: open.example:PORT\r\n\r\n", 400),
    "two spaces": ("GET  http://open.example:PORT/ HTTP/1.1\r\nHost: open.example:PORT\r\n\r\n", 400),
    "another protocol": ("GET http://open.example:PORT/ HTTP/2.0\r\nHost: open.example:PORT\r\n\r\n", 400),
    "https in the clear": ("GET https://open.example:PORT/ HTTP/1.1\r\nHost: open.example:PORT\r\n\r\n", 403),
    "a file": ("GET file:///etc/passwd HTTP/1.1\r\nHost: open.example:PORT\r\n\r\n", 403),
    "origin form": ("GET / HTTP/1.1\r\nHost: open.example:PORT\r\n\r\n", 400),
    "user information": (
        "GET http://open.example:PORT@evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        400,
    ),
    "a backslash": (
        "GET http://open.example:PORT\\@evil.example/ HTTP/1.1\r\nHost: open.example:PORT\r\n\r\n",
        400,
    ),
    "a fragment": (
        "GET http://open.example:PORT#@evil.example/ HTTP/1.1\r\nHost: open.example:PORT\r\n\r\n",
        400,
    ),
    "a method of its own": (
        "TRACE http://open.example:PORT/ HTTP/1.1\r\nHost: open.example:PORT\r\n\r\n",
        405,
    ),
    "not http": ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400),
    "an unfinished head": ("GET http://open.example:PORT/ HTTP/1.1\r\nHost: o", 400),
    "a long head": ("GET http://open.example:PORT/ HTTP/1.1\r\n" + "X: " + "a" * 20_000 + "\r\n\r\n", 431),
    "many fields": ("GET http://open.example:PORT/ HTTP/1.1\r\n" + "X: a\r\n" * 200 + "\r\n", 431),
}  # fmt: skip


@pytest.mark.parametrize(("text", "status"), SMUGGLED.values(), ids=SMUGGLED.keys())
def test_a_request_that_could_be_read_in_two_ways_is_refused(text: str, status: int) -> None:
    async def main() -> None:
        async with way() as here:
            answer = await here.ask(text.replace("PORT", str(here.port)).encode("latin-1"))
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
            assert here.came == 0

    run(main)


LEADING_ASTRAY = {
    "to this machine": ["127.0.0.1"],
    "to a private network": ["10.0.0.5"],
    "to metadata": ["169.254.169.254"],
    "to a public and to a private address": ["1.1.1.1", "127.0.0.1"],
    "to a mapped address": ["::ffff:127.0.0.1"],
    "through NAT64": ["64:ff9b::7f00:1"],
    "through 6to4": ["2002:7f00:1::"],
    "to everybody": ["224.0.0.1"],
    "nowhere in particular": ["0.0.0.0"],
}


@pytest.mark.parametrize("addresses", LEADING_ASTRAY.values(), ids=LEADING_ASTRAY.keys())
def test_a_listed_name_that_leads_to_an_unfit_address_is_refused(addresses: list[str]) -> None:
    async def main() -> None:
        async with way(allowed=[Allowed("pub.example", 443)]) as here:
            here.names["pub.example"] = addresses
            answer = await here.ask(connect("pub.example:443"))
            assert answer.startswith(b"HTTP/1.1 403 "), answer
            assert here.came == 0

    run(main)


def test_a_listed_address_is_judged_like_a_name() -> None:
    async def main() -> None:
        async with way(allowed=[Allowed("169.254.169.254", 80, private=True)]) as here:
            assert b" 403 " in await here.ask(connect("169.254.169.254:80"))

    run(main)


def test_a_name_is_looked_up_once_so_that_it_cannot_change_its_mind() -> None:
    async def main() -> None:
        async with way() as here:
            answers = iter([["127.0.0.1"], ["169.254.169.254"]])

            async def rebinding(host: str, port: int) -> list[str]:
                here.asked.append(host)
                return next(answers)

            here.find = rebinding  # type: ignore[method-assign]
            async with here.tunnel() as (reader, writer):
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
            assert here.asked == ["open.example"]

    run(main)


def test_an_unknown_name_is_answered_and_not_tried() -> None:
    async def main() -> None:
        async with way(allowed=[Allowed("gone.example", 443)]) as here:
            assert b"cannot be looked up" in await here.ask(connect("gone.example:443"))

    run(main)


def test_a_refusal_says_which_place_was_meant() -> None:
    async def main() -> None:
        async with way() as here:
            answer = await here.ask(connect("evil.example:443"))
            assert b"evil.example:443 is not on the list of hosts that may be reached" in answer

    run(main)


def test_more_bytes_than_allowed_cut_the_connection() -> None:
    async def main() -> None:
        async with way(caps=Caps(bytes=100_000)) as here, here.tunnel() as (reader, writer):
            writer.write(b"x" * 150_000)
            assert len(await rest(reader)) < 100_000
            assert b" 503 " in await here.ask(connect(f"open.example:{here.port}"))
            passage = await here.passage()
            assert passage.verdict == "cut"
            assert passage.sent + passage.received <= 100_000

    run(main)


@pytest.mark.parametrize(
    ("caps", "says"),
    [(Caps(idle_s=0.05), "nothing moved"), (Caps(connection_s=1), "lasted too long")],  # with its beginning
    ids=["silence", "time"],
)
def test_silence_and_time_end_a_connection(caps: Caps, says: str) -> None:
    async def main() -> None:
        async with way(caps=caps) as here, here.tunnel() as (reader, _):
            assert await rest(reader) == b""
            assert says in (await here.passage()).reason

    run(main)


def test_a_request_that_never_comes_is_given_up() -> None:
    async def main() -> None:
        async with way(caps=Caps(head_s=0.05)) as here, here.client() as (reader, _):
            assert (await rest(reader)).startswith(b"HTTP/1.1 408 ")

    run(main)


def test_more_connections_than_allowed_are_refused() -> None:
    async def main() -> None:
        async with way(caps=Caps(connections=1)) as here, here.tunnel():
            assert b" 503 " in await here.ask(connect(f"open.example:{here.port}"))

    run(main)


def test_connections_in_all_are_counted() -> None:
    async def main() -> None:
        async with way(caps=Caps(in_all=1)) as here:
            assert b" 200 " in await here.ask(connect(f"open.example:{here.port}"))
            assert b" 503 " in await here.ask(connect(f"open.example:{here.port}"))

    run(main)


def test_only_the_named_user_may_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = os.geteuid()

    async def main(uid: int) -> bytes:
        async with way(uid=uid) as here:
            return await here.ask(connect("evil.example:443"))

    monkeypatch.setattr("os.geteuid", lambda: ours + 1)  # as if the proxy ran under another user
    assert b" 403 " in run(lambda: main(ours))
    assert run(lambda: main(ours + 2)) == b""


def test_closing_ends_what_runs() -> None:
    async def main() -> None:
        async with AsyncExitStack() as later:
            async with way() as here:
                reader, _ = await later.enter_async_context(here.tunnel())
            assert await rest(reader) == b""

    run(main)


class Ahead(asyncio.SelectorEventLoop):
    """A loop whose clock a test puts forward."""

    _by = 0.0

    def time(self) -> float:
        return super().time() + self._by

    def pass_time(self, seconds: float) -> None:
        self._by += seconds


def test_silence_counts_from_when_there_is_a_connection_and_not_from_before() -> None:
    loop = Ahead()

    async def main() -> None:
        async with asyncio.timeout(1_000):  # 61 of them pass at once
            async with way(caps=Caps(idle_s=60, connection_s=900, head_s=900)) as here:
                here.on_find = lambda: loop.pass_time(61)  # and nothing has moved meanwhile
                async with here.tunnel() as (reader, writer):
                    writer.write(b"hello")
                    assert await reader.readexactly(5) == b"hello"
                    writer.write_eof()
                    assert await rest(reader) == b""
                assert (await here.passage()).verdict == "passed"

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
