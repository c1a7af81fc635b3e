"""The way to an upstream through an egress proxy: which one, how it is asked, what it may answer.

The upstreams here are called `*.example`; the proxies connect to loopback whatever they are asked for.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.proxy.http.call import UpstreamLimits
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.http.egress import EgressProxy, egress_for, excepted
from ostiary.proxy.tls import upstream_context
from tests.e2e.world import free_port
from tests.needs import needs_program
from tests.proxy.certificates import Authority
from tests.proxy.connect_proxy import ConnectProxy
from tests.proxy.http_world import LOOPS, Upstream, call, until, within

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
NAME = "tools.example"


@contextlib.asynccontextmanager
async def listening(handler, tls=None) -> AsyncGenerator[int, None]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering() -> Upstream:
    """A server that answers every request."""

    async def script(reader, writer) -> None:
        while True:
            await world.request(reader)
            writer.write(OK)

    world = Upstream(script)
    return world


@contextlib.asynccontextmanager
async def through(
    url: str, proxy: EgressProxy, authority: Authority | None = None, limits: UpstreamLimits | None = None
) -> AsyncGenerator[HttpUpstream, None]:
    tls = upstream_context(authority.file, None, {}, int(time.time() * 1e6))[0] if authority else None
    client = HttpUpstream(url, ssl_context=tls, proxy=proxy, limits=limits)
    try:
        yield client
    finally:
        await client.close()


@LOOPS
def test_https_upstream_is_reached_through_a_tunnel(run, tmp_path: Path) -> None:
    """The proxy sees name and port, TLS is spoken with the upstream itself, the connection is kept."""
    authority = Authority(tmp_path)
    world = answering()

    async def main() -> None:
        async with listening(world, authority.leaf(names=(NAME,)).server()) as port:
            tunnel = ConnectProxy(port)
            async with listening(tunnel) as front:
                proxy = EgressProxy("127.0.0.1", front, b"Basic " + base64.b64encode(b"ada:secret"))
                async with through(f"https://{NAME}/mcp", proxy, authority) as client:
                    for _ in range(5):
                        assert (await call(client, b'{"a":1}')).body == b"{}"
                assert tunnel.heads[0] == (
                    b"CONNECT tools.example:443 HTTP/1.1\r\nhost: tools.example:443\r\n"
                    b"proxy-authorization: Basic YWRhOnNlY3JldA==\r\n\r\n"
                )
        assert len(tunnel.heads) <= 2  # a session ticket may have cost one connection
        assert world.requests[0].startswith(b"POST /mcp HTTP/1.1\r\nhost: tools.example\r\n")
        assert b"proxy-authorization" not in b"".join(world.requests)

    within(run, main)


@LOOPS
def test_tunnel_to_somebody_else_is_found_out(run, tmp_path: Path) -> None:
    """A proxy that answers in the upstream's stead has no certificate for it."""
    authority = Authority(tmp_path)
    world = answering()

    async def main() -> None:
        async with (
            listening(world, authority.leaf(names=("other.example",)).server()) as port,
            listening(ConnectProxy(port)) as front,
            through(f"https://{NAME}/", EgressProxy("127.0.0.1", front), authority) as client,
        ):
            heard = await call(client)
            assert heard.problem is not None
            assert not heard.problem.written
            assert heard.problem.message.endswith("its certificate is for another name")
        assert world.requests == []

    within(run, main)


@LOOPS
@pytest.mark.parametrize("early", [OK, b""], ids=["answers", "closes"])
def test_upstream_that_does_not_wait_for_the_request_is_not_given_one(
    run, early: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came through the tunnel before the connection is handed over answers nobody."""
    authority = Authority(tmp_path)
    asked: list[bytes] = []

    async def hasty(reader, writer) -> None:
        writer.write(early)
        if not early:
            writer.close()
        asked.append(await reader.read())
        writer.close()

    class Loop:
        """The running loop, but it is slow to say that the handshake is over."""

        def __getattr__(self, name):
            return getattr(asyncio.get_running_loop(), name)

        async def start_tls(self, *arguments, **options):
            secured = await asyncio.get_running_loop().start_tls(*arguments, **options)
            for _ in range(50):  # turns, in which all comes that was sent: a busy machine may take away time
                await asyncio.sleep(0.002)
            return secured

    async def main() -> None:
        async with (
            listening(hasty, authority.leaf(names=(NAME,)).server()) as port,
            listening(ConnectProxy(port)) as front,
            through(f"https://{NAME}/", EgressProxy("127.0.0.1", front), authority) as client,
        ):
            monkeypatch.setattr(client, "_loop", Loop())
            heard = await call(client)
            assert heard.problem is not None
            assert not heard.problem.written
            await until(lambda: asked)
        assert asked == [b""]

    within(run, main)


@LOOPS
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            "answered 407 to CONNECT",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "answered 403 to CONNECT"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "answered 502 to CONNECT"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "answered 100 to CONNECT"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak http/1.1"),
        (b"HTTP/2.0 200\r\n\r\n", "does not speak http/1.1"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03\x00", "sent bytes that nobody asked for"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", "sent too long an answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000, "sent too long an answer"),
        (b"", "closed the connection"),
    ],
    ids=["407", "403", "502", "100", "ssh", "http2", "early", "long", "endless", "nothing"],
)
def test_other_answers_of_the_proxy_mean_that_nothing_was_sent(
    run, text: bytes, words: str, tmp_path: Path
) -> None:
    """The fault says so, and what the proxy answered, but neither where it is nor how we log in."""
    authority = Authority(tmp_path)
    proxied: list[bytes] = []

    async def refusing(reader, writer) -> None:
        proxied.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(text)
        with contextlib.suppress(OSError):
            if text:
                await reader.read()
        writer.close()

    async def main() -> None:
        async with listening(refusing) as front:
            proxy = EgressProxy("127.0.0.1", front, b"Basic c2VjcmV0")
            async with through(f"https://{NAME}/", proxy, authority) as client:
                heard = await call(client)
        assert heard.problem is not None
        assert not heard.problem.written
        assert heard.problem.message == (
            f"the upstream `tools.example` cannot be reached: the egress proxy {words}"
        )
        assert "c2VjcmV0" not in repr(proxy)

    within(run, main)


@LOOPS
def test_proxy_that_is_away_or_silent_is_told_apart_from_the_upstream(run, tmp_path: Path) -> None:
    """A silent proxy is given up after the time for connecting."""
    authority = Authority(tmp_path)

    async def silent(reader, writer) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        async with through(f"https://{NAME}/", EgressProxy("127.0.0.1", 1), authority) as client:
            away = await call(client)
        limits = UpstreamLimits(connect_timeout=0.2)
        async with (
            listening(silent) as front,
            through(f"https://{NAME}/", EgressProxy("127.0.0.1", front), authority, limits) as client,
        ):
            late = await call(client)
        assert away.problem is not None
        assert away.problem.message.endswith("the egress proxy cannot be reached: connection refused")
        assert late.problem is not None
        assert late.problem.message.endswith("did not accept the connection in time")
        assert not late.problem.written

    within(run, main)


@LOOPS
def test_http_upstream_is_asked_for_in_absolute_form(run) -> None:
    """RFC 9112 3.2.2. The login is for the proxy, which is the one that reads this head."""
    world = answering()

    async def main() -> None:
        async with (
            listening(world) as front,
            through(
                "http://tools.example:81/mcp?v=1", EgressProxy("127.0.0.1", front, b"Basic eA==")
            ) as client,
        ):
            assert (await call(client)).body == b"{}"
            assert (await call(client)).body == b"{}"
        assert world.connections == 1
        assert world.requests[0].startswith(
            b"POST http://tools.example:81/mcp?v=1 HTTP/1.1\r\nhost: tools.example:81\r\n"
            b"accept-encoding: identity\r\nproxy-authorization: Basic eA==\r\n"
        )

    within(run, main)


@LOOPS
def test_closing_while_a_tunnel_is_made_ends_the_call(run, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    asked: list[bytes] = []

    async def silent(reader, writer) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.read()
        writer.close()

    async def main() -> None:
        async with listening(silent) as front:
            async with through(f"https://{NAME}/", EgressProxy("127.0.0.1", front), authority) as client:
                calling = asyncio.get_running_loop().create_task(call(client))
                await until(lambda: asked)
            heard = await calling
        assert heard.problem is not None
        assert not heard.problem.written

    within(run, main)


PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("scheme", "environ", "expected"),
    [
        ("https", {}, None),
        ("https", {"HTTPS_PROXY": PROXY}, 3128),
        ("https", {"https_proxy": PROXY, "HTTPS_PROXY": "http://b.example:1"}, 3128),
        ("https", {"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        ("https", {"http_proxy": PROXY}, None),
        ("https", {"ALL_PROXY": PROXY}, 3128),
        ("https", {"all_proxy": "proxy.example:8080"}, 8080),
        ("https", {"HTTPS_PROXY": "http://proxy.example"}, 80),
        ("https", {"HTTPS_PROXY": PROXY, "NO_PROXY": "tools.example"}, None),
        ("https", {"HTTPS_PROXY": PROXY, "no_proxy": "", "NO_PROXY": "tools.example"}, 3128),
        ("http", {"http_proxy": PROXY}, 3128),
        ("http", {"HTTP_PROXY": PROXY}, None),
        ("http", {"HTTPS_PROXY": PROXY}, None),
        ("http", {"ALL_PROXY": PROXY}, 3128),
    ],
)
def test_proxy_is_chosen_by_scheme_and_variable(scheme: str, environ: dict, expected: int | None) -> None:
    """`HTTP_PROXY` in upper case is what a CGI server makes of a client's `Proxy:` header."""
    found = egress_for(scheme, NAME, 443, environ)

    assert (found.port if found else None) == expected


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_never_proxied(host: str) -> None:
    assert egress_for("https", host, 443, {"HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY}) is None


@pytest.mark.parametrize(
    ("host", "port", "exceptions", "expected"),
    [
        ("a.example", 443, "*", True),
        ("a.example", 443, "a.example", True),
        ("A.Example.", 443, "a.EXAMPLE", True),
        ("b.a.example", 443, "a.example", True),
        ("ba.example", 443, "a.example", False),
        ("b.a.example", 443, ".a.example", True),
        ("a.example", 443, ".a.example", True),
        ("b.a.example", 443, "*.a.example", True),
        ("a.example", 443, "a.example:443", True),
        ("a.example", 8443, "a.example:443", False),
        ("a.example", 443, "b.example, c.example  a.example", True),
        ("a.example", 443, ", ,", False),
        ("a.example", 443, "", False),
        ("10.1.2.3", 443, "10.0.0.0/8", True),
        ("11.1.2.3", 443, "10.0.0.0/8", False),
        ("::ffff:10.1.2.3", 443, "10.0.0.0/8", True),
        ("10.1.2.3", 443, "10.1.2.3", True),
        ("10.1.2.3", 443, "10.1.2.3:80", False),
        ("10.1.2.3", 443, "2.3", False),
        ("2001:db8::1", 443, "2001:db8::/32", True),
        ("2001:db8::1", 443, "[2001:db8::1]:443", True),
        ("2001:db8::1", 443, "2001:db8:0::1", True),
        ("a.example", 443, "10.0.0.0/8", False),
        ("a.example", 443, "10.0.0.0/99", False),
        ("e.xample", 443, "*xample", True),
        ("a.example", 443, "a.example:" + "9" * 5000, False),
    ],
)
def test_no_proxy_names_hosts_ports_and_networks(
    host: str, port: int, exceptions: str, expected: bool
) -> None:
    assert excepted(host, port, exceptions) is expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("http://", "is not the URL of a proxy"),
        ("http://ada:s3cret@", "is not the URL of a proxy"),
        ("http://ada:s3cret@proxy.example:port", "is not the URL of a proxy"),
        ("socks5://ada:s3cret@proxy.example:1080", "a proxy is spoken to over `http://`, not `socks5://`"),
        ("https://ada:s3cret@proxy.example", "a proxy is spoken to over `http://`, not `https://`"),
    ],
)
def test_proxy_that_cannot_be_used_stops_the_start(value: str, words: str) -> None:
    """Going direct instead could pass by what the operator relies on; the login stays unsaid."""
    with pytest.raises(CallerFault) as caught:
        egress_for("https", NAME, 443, {"HTTPS_PROXY": value})

    assert words in caught.value.message
    assert "s3cret" not in caught.value.message + (caught.value.hint or "")


def test_login_of_the_proxy_is_unquoted() -> None:
    """A password may hold any character, percent-encoded."""
    found = egress_for("https", NAME, 443, {"HTTPS_PROXY": "http://ada:p%40ss%3A@proxy.example:1"})

    assert found is not None
    assert base64.b64decode(found.authorization.removeprefix(b"Basic ")) == b"ada:p@ss:"


@pytest.mark.service
@LOOPS
def test_published_proxy_is_asked_for_a_tunnel_and_for_plain_http(run, tmp_path: Path) -> None:
    """tinyproxy, with a login: https through CONNECT, http in absolute form, both to loopback."""
    tinyproxy = needs_program("tinyproxy")
    authority = Authority(tmp_path)
    secure, plain = answering(), answering()

    async def main() -> None:
        async with (
            listening(secure, authority.leaf().server()) as secure_port,
            listening(plain) as plain_port,
        ):
            process, port = await started(str(tinyproxy), tmp_path)
            try:
                login = b"Basic " + base64.b64encode(b"ada:secret")
                proxy = EgressProxy("127.0.0.1", port, login)
                async with through(f"https://localhost:{secure_port}/", proxy, authority) as client:
                    assert (await call(client)).body == b"{}"
                async with through(f"http://127.0.0.1:{plain_port}/mcp", proxy) as client:
                    assert (await call(client)).body == b"{}"
                async with through(
                    f"https://localhost:{secure_port}/", EgressProxy("127.0.0.1", port), authority
                ) as client:
                    heard = await call(client)
                    assert heard.problem is not None
                    assert heard.problem.message.endswith("the egress proxy answered 407 to CONNECT")
            finally:
                process.terminate()
                await process.wait()
        assert len(secure.requests) == 1
        assert plain.requests[0].lower().startswith(b"post /mcp http/1.1\r\n")
        assert b"proxy-authorization" not in plain.requests[0].lower()

    within(run, main, 15)


async def started(program: str, folder: Path) -> tuple[asyncio.subprocess.Process, int]:
    """Tinyproxy on a port that was free a moment ago."""
    port = free_port()
    config = folder / "tinyproxy.conf"
    config.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 5\nBasicAuth ada secret\n")
    process = await asyncio.create_subprocess_exec(
        program, "-d", "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    while True:
        assert process.returncode is None
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return process, port
