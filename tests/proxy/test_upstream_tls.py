"""TLS towards an HTTP upstream: what it must show, what we show, and what is said when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.proxy.http.call import UpstreamLine
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.tls import upstream_context
from ostiary.settings import KeyPair
from tests.proxy.certificates import DAY, Authority, Pem, self_signed
from tests.proxy.http_world import LOOPS, Upstream, call, within

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def now() -> int:
    return int(time.time() * 1_000_000)


def context(bundle: Path | None = None, pair: KeyPair | None = None) -> ssl.SSLContext:
    return upstream_context(bundle, pair, {}, now())[0]


@contextlib.asynccontextmanager
async def https(tls: ssl.SSLContext, text: bytes = OK) -> AsyncGenerator[tuple[int, Upstream], None]:
    """A TLS server that answers every request with `text`, and its port."""

    async def script(reader, writer) -> None:
        while True:
            await world.request(reader)
            writer.write(text)

    world = Upstream(script)
    server = await asyncio.start_server(world, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], world
    finally:
        server.close()


@contextlib.asynccontextmanager
async def client(url: str, tls: ssl.SSLContext) -> AsyncGenerator[HttpUpstream, None]:
    made = HttpUpstream(url, ssl_context=tls)
    try:
        yield made
    finally:
        await made.close()


def problem(run, pem_or_tls: Pem | ssl.SSLContext, tls: ssl.SSLContext, host: str = "127.0.0.1") -> str:
    """What one call is told about a server with this certificate."""
    found: list[str] = []
    offered = pem_or_tls.server() if isinstance(pem_or_tls, Pem) else pem_or_tls

    async def main() -> None:
        async with https(offered) as (port, world), client(f"https://{host}:{port}/", tls) as upstream:
            heard = await call(upstream)
            assert heard.problem is not None
            assert not heard.problem.written
            assert world.requests == []
            found.append(heard.problem.message.replace(f"`{host}:{port}`", "U"))

    within(run, main)
    return found[0]


@LOOPS
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_connection_is_kept_and_used_again_over_tls(run, version: ssl.TLSVersion, tmp_path: Path) -> None:
    """Twenty calls in a row, each with its own answer; session tickets do not look like one."""
    authority = Authority(tmp_path)
    offered = authority.leaf().server()
    offered.maximum_version = version

    async def main() -> None:
        async with (
            https(offered) as (port, world),
            client(f"https://localhost:{port}/mcp", context(authority.file)) as upstream,
        ):
            for _ in range(20):
                assert (await call(upstream)).body == b"{}"
            # Tickets may arrive between two calls: then the connection is doubted, and another made.
            assert world.connections <= 2

    within(run, main)


@LOOPS
def test_many_connections_at_once_are_made_over_tls(run, tmp_path: Path) -> None:
    """Each call of a burst gets a connection of its own and is not lost over a session ticket."""
    authority = Authority(tmp_path)

    async def main() -> None:
        async with (
            https(authority.leaf().server()) as (port, world),
            client(f"https://127.0.0.1:{port}/", context(authority.file)) as upstream,
        ):
            heard = await asyncio.gather(*(call(upstream) for _ in range(20)))
            assert [one.body for one in heard] == [b"{}"] * 20
            assert world.connections == 20

    within(run, main)


@LOOPS
def test_session_tickets_do_not_make_a_new_connection_doubtful(run, tmp_path: Path, monkeypatch) -> None:
    """They may be in the socket when the handshake is over; there is no older request they could answer."""
    authority = Authority(tmp_path)
    monkeypatch.setattr(UpstreamLine, "fresh", lambda _: False)

    async def main() -> None:
        async with (
            https(authority.leaf().server()) as (port, world),
            client(f"https://127.0.0.1:{port}/", context(authority.file)) as upstream,
        ):
            assert (await call(upstream)).body == b"{}"
            assert world.connections == 1

    within(run, main)


@LOOPS
def test_certificate_that_does_not_prove_who_answers_is_refused(run, tmp_path: Path) -> None:
    """HTTP case 23: chain, name and time are checked; not a byte of a request leaves."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    trusted = context(authority.file)

    assert problem(run, authority.leaf("old", valid=(-3 * DAY, -DAY)), trusted) == (
        "the upstream U cannot be reached: its certificate has expired"
    )
    assert problem(run, authority.leaf("new", valid=(DAY, 3 * DAY)), trusted) == (
        "the upstream U cannot be reached: its certificate is not valid yet"
    )
    assert problem(run, authority.leaf("name", names=("example.org",)), trusted) == (
        "the upstream U cannot be reached: its certificate is for another name"
    )
    assert problem(run, authority.leaf("dns", names=("example.org",)), trusted, "localhost") == (
        "the upstream U cannot be reached: its certificate is for another name"
    )
    assert problem(run, other.leaf("stranger"), trusted) == (
        "the upstream U cannot be reached: "
        "its certificate was issued by an authority that is not trusted here"
    )
    assert problem(run, self_signed(tmp_path), trusted) == (
        "the upstream U cannot be reached: its certificate is self-signed and not trusted here"
    )


@LOOPS
def test_tls_before_1_2_is_not_spoken(run, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    old = authority.leaf().server()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    assert problem(run, old, context(authority.file)).startswith("the upstream U cannot be reached: it ")


@LOOPS
def test_server_that_does_not_speak_tls_is_named_as_such(run, tmp_path: Path) -> None:
    """An `https` URL for a plain port is a common mistake."""
    authority = Authority(tmp_path)

    async def main() -> None:
        async def plain(reader, writer) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with client(f"https://127.0.0.1:{port}/", context(authority.file)) as upstream:
            heard = await call(upstream)
            assert heard.problem is not None
            assert heard.problem.message.endswith("cannot be reached: it does not speak TLS")
        server.close()

    within(run, main)


@LOOPS
def test_refused_connection_is_told_without_its_address(run) -> None:
    """A client is told that the server is away, not where it was looked for."""

    async def main() -> None:
        upstream = HttpUpstream("http://localhost:1/mcp")
        heard = await call(upstream)
        assert heard.problem is not None
        assert heard.problem.message == "the upstream `localhost:1` cannot be reached: connection refused"
        await upstream.close()

    within(run, main)


@LOOPS
def test_client_certificate_is_shown_where_one_is_asked_for(run, tmp_path: Path) -> None:
    """Both TLS versions; without a certificate the call fails and says so."""
    authority = Authority(tmp_path)
    ours = authority.leaf("ours")
    pair = KeyPair("upstream", ours.cert, ours.key)
    seen: list[str] = []

    async def main() -> None:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            offered = authority.leaf(f"server-{version.name}").server()
            offered.maximum_version = version
            offered.verify_mode = ssl.CERT_REQUIRED
            offered.load_verify_locations(authority.file)
            async with https(offered) as (port, _):
                url = f"https://127.0.0.1:{port}/"
                async with client(url, context(authority.file, pair)) as upstream:
                    assert (await call(upstream)).body == b"{}"
                async with client(url, context(authority.file)) as upstream:
                    heard = await call(upstream)
                    assert heard.problem is not None
                    seen.append(heard.problem.message)

    def quiet(_loop, _context) -> None:
        """The test's own server complains about the client without a certificate."""

    async def silenced() -> None:
        asyncio.get_running_loop().set_exception_handler(quiet)
        await main()

    within(run, silenced)
    assert len(seen) == 2
    assert all("U" not in text and "127.0.0.1" in text for text in seen)


@LOOPS
def test_authorities_come_from_the_environment(run, tmp_path: Path, monkeypatch) -> None:
    """SSL_CERT_FILE and SSL_CERT_DIR, as OpenSSL reads them; a bundle of our own replaces both."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    leaf = authority.leaf()
    folder = tmp_path / "authorities"
    folder.mkdir()

    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    by_file = upstream_context(None, None, {"SSL_CERT_FILE": str(authority.file)}, now())[0]
    replaced = upstream_context(other.file, None, {"SSL_CERT_FILE": str(authority.file)}, now())[0]

    async def main() -> None:
        async with https(leaf.server()) as (port, _):
            url = f"https://127.0.0.1:{port}/"
            async with client(url, by_file) as upstream:
                assert (await call(upstream)).body == b"{}"
            async with client(url, replaced) as upstream:
                assert (await call(upstream)).problem is not None

    within(run, main)


def test_missing_authorities_are_found_out_at_start(tmp_path: Path) -> None:
    """OpenSSL itself passes over them, and every connection would fail later."""
    empty = tmp_path / "empty.pem"
    empty.write_text("# none\n")

    def said(bundle: Path | None, **environ: str) -> str:
        with pytest.raises(CallerFault) as caught:
            upstream_context(bundle, None, environ, now())
        return caught.value.message.replace(str(tmp_path), "")

    assert (
        said(None, SSL_CERT_FILE=f"{tmp_path}/no.pem")
        == "`SSL_CERT_FILE` names `/no.pem`, which is not a file"
    )
    assert said(None, SSL_CERT_DIR=f"{tmp_path}/no") == "`SSL_CERT_DIR` names `/no`, which is not a folder"
    assert said(tmp_path / "no.pem") == "--upstream-ca: cannot read `/no.pem`: no such file or directory"
    assert said(empty) == "--upstream-ca: `/empty.pem` holds no certificate in PEM form"


def test_expired_client_certificate_is_a_warning(tmp_path: Path) -> None:
    ours = Authority(tmp_path).leaf("ours", valid=(-2 * DAY, timedelta(seconds=-5)))

    _, warnings = upstream_context(None, KeyPair("upstream", ours.cert, ours.key), {}, now())

    assert len(warnings) == 1
    assert "ours.pem` has expired on 20" in warnings[0]


@LOOPS
@pytest.mark.parametrize("ending", ["close_notify", "nothing"])
def test_answer_that_only_the_end_delimits_counts_only_with_close_notify(
    run, ending: str, tmp_path: Path
) -> None:
    """HTTP case 23: without it somebody on the way may have cut the answer short (RFC 9112 9.8)."""
    authority = Authority(tmp_path)

    async def script(reader, writer) -> None:
        await world.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")
        await writer.drain()
        if ending == "nothing":
            writer.transport.abort()

    world = Upstream(script)

    async def main() -> None:
        server = await asyncio.start_server(world, "127.0.0.1", 0, ssl=authority.leaf().server())
        port = server.sockets[0].getsockname()[1]
        async with client(f"https://127.0.0.1:{port}/", context(authority.file)) as upstream:
            heard = await call(upstream)
            assert heard.events[-1] == ("end" if ending == "close_notify" else "fault")
        server.close()

    within(run, main)
