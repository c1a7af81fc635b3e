"""TLS at the HTTP listener: versions, the files it is given, their exchange, and broken handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.proxy.exchange import Head
from ostiary.proxy.http.request import Limits
from ostiary.proxy.http.server import HttpServer
from ostiary.proxy.tls import Certificate
from ostiary.settings import KeyPair
from tests.needs import needs_program
from tests.proxy.certificates import DAY, Authority, Pem
from tests.proxy.http_world import LOOPS, Kept, answer, echo, post, until, within


def now() -> int:
    return int(time.time() * 1_000_000)


def pair(pem: Pem) -> KeyPair:
    return KeyPair("tls", pem.cert, pem.key)


@contextlib.asynccontextmanager
async def secured(
    handler, certificate: Certificate, limits: Limits | None = None
) -> AsyncGenerator[tuple[HttpServer, int], None]:
    """A listening server that speaks TLS, and its port."""
    server = HttpServer(handler, limits=limits)
    _, port = await server.listen("127.0.0.1", 0, ssl_context=certificate.context)
    try:
        yield server, port
    finally:
        await server.close(0)


@contextlib.asynccontextmanager
async def trusting(port: int, context: ssl.SSLContext, name: str | None = None):
    """A TLS connection that checks what it is shown."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name or "127.0.0.1"
    )
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def serial(port: int, authority: Authority) -> int:
    """The serial number of the certificate that a new handshake shows."""
    async with trusting(port, authority.client()) as (_, writer):
        return int(writer.get_extra_info("peercert")["serialNumber"], 16)


def faults(loop: asyncio.AbstractEventLoop) -> list[dict]:
    """What the loop would have logged with a traceback."""
    found: list[dict] = []
    loop.set_exception_handler(lambda _, context: found.append(context))
    return found


@LOOPS
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_are_answered_over_both_versions(run, version: ssl.TLSVersion, tmp_path: Path) -> None:
    """Two pipelined requests on one connection, the second one larger than a TLS record."""
    authority = Authority(tmp_path)
    certificate = Certificate(pair(authority.leaf()), now)
    context = authority.client()
    context.minimum_version = context.maximum_version = version

    async def main() -> None:
        async with secured(echo, certificate) as (_, port), trusting(port, context) as (reader, writer):
            writer.write(post(b"1") + post(b"x" * 300_000))
            assert (await answer(reader))[2] == b"1"
            assert (await answer(reader))[2] == b"x" * 300_000
            tls = writer.get_extra_info("ssl_object")
            assert tls.compression() is None
            assert version is ssl.TLSVersion.TLSv1_3 or tls.cipher()[0].startswith("ECDHE-")

    within(run, main)


@LOOPS
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_older_versions_and_weak_ciphers_are_not_spoken(run, tmp_path: Path) -> None:
    """Clients that know only TLS 1.1, or only CBC suites: a lax server takes them, ours does not."""
    authority = Authority(tmp_path)
    leaf = authority.leaf()
    old = authority.client()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    weak = authority.client()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA")
    lax = leaf.server()
    lax.minimum_version = ssl.TLSVersion.TLSv1_1
    lax.set_ciphers("ALL:@SECLEVEL=0")

    async def main() -> None:
        lenient = HttpServer(echo)
        _, port = await lenient.listen("127.0.0.1", 0, ssl_context=lax)
        for context in (old, weak):
            async with trusting(port, context) as (reader, writer):
                writer.write(post(b"1"))
                assert (await answer(reader))[2] == b"1"
        await lenient.close(0)
        async with secured(echo, Certificate(pair(leaf), now)) as (server, port):
            for context in (old, weak):
                with pytest.raises(OSError):  # noqa: PT011 - the loops disagree on the words
                    async with trusting(port, context):
                        pass
            await until(lambda: server.connections == 0)

    within(run, main)


@LOOPS
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", None])
def test_the_name_a_client_asks_for_does_not_matter(run, name: str | None, tmp_path: Path) -> None:
    """With an address as the name no SNI is sent; the one certificate is shown all the same."""
    authority = Authority(tmp_path)
    leaf = authority.leaf()
    certificate = Certificate(pair(leaf), now)
    context = authority.client()
    if name is None:
        context.check_hostname = False
        name = "somewhere.else.example"

    async def main() -> None:
        async with secured(echo, certificate) as (_, port), trusting(port, context, name) as (_, writer):
            assert int(writer.get_extra_info("peercert")["serialNumber"], 16) == leaf.serial

    within(run, main)


@LOOPS
def test_exchanged_files_serve_new_handshakes_while_old_connections_go_on(run, tmp_path: Path) -> None:
    """HTTP case 23: a connection opened before the exchange is used before, during and after it."""
    authority = Authority(tmp_path)
    first, second = authority.leaf("first"), authority.leaf("second")
    certificate = Certificate(pair(first), now)
    rows: list[tuple] = []

    async def main() -> None:
        async with secured(echo, certificate) as (_, port):
            watch = certificate.watch(lambda kind, note, *, reasons=(): rows.append((kind, tuple(reasons))))
            async with trusting(port, authority.client()) as (reader, writer):
                writer.write(post(b"before"))
                assert (await answer(reader))[2] == b"before"
                assert await serial(port, authority) == first.serial
                second.write(first.cert, first.key)
                await until(lambda: rows)
                assert await serial(port, authority) == second.serial
                writer.write(post(b"after"))
                assert (await answer(reader))[2] == b"after"
            watch.close()

    within(run, main)
    assert rows == [("certificate-activated", ())]


@LOOPS
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_client_goes_on_with_a_certificate_that_was_exchanged(
    run, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """A session that could be resumed would skip the new certificate: none is ever offered."""
    authority = Authority(tmp_path)
    first, second = authority.leaf("first"), authority.leaf("second")
    certificate = Certificate(pair(first), now)
    context = authority.client()
    context.minimum_version = context.maximum_version = version

    def shown(port: int, session: ssl.SSLSession | None) -> tuple[int, ssl.SSLSession | None, bool | None]:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as connection,
        ):
            connection.sendall(post(b"1"))
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            shown = connection.getpeercert()
            assert shown is not None
            return int(str(shown["serialNumber"]), 16), connection.session, connection.session_reused

    async def main() -> None:
        async with secured(echo, certificate) as (_, port):
            serial, session, _ = await asyncio.to_thread(shown, port, None)
            assert serial == first.serial
            second.write(first.cert, first.key)
            changed: list[str] = []
            watch = certificate.watch(lambda kind, note, *, reasons=(): changed.append(kind))
            await until(lambda: changed)
            watch.close()
            serial, _, reused = await asyncio.to_thread(shown, port, session)
            assert (serial, reused) == (second.serial, False)

    within(run, main)


@LOOPS
def test_pair_that_does_not_match_leaves_the_old_one_in_force(run, tmp_path: Path, caplog) -> None:
    """The certificate alone is replaced; the row and the log line say what is wrong with it."""
    authority = Authority(tmp_path)
    first, second = authority.leaf("first"), authority.leaf("second")
    certificate = Certificate(pair(first), now)
    rows: list[tuple] = []

    async def main() -> None:
        async with secured(echo, certificate) as (_, port):
            watch = certificate.watch(lambda kind, note, *, reasons=(): rows.append((kind, tuple(reasons))))
            second.write(first.cert, tmp_path / "unused.key")
            await until(lambda: rows)
            assert await serial(port, authority) == first.serial
            second.write(first.cert, first.key)
            await until(lambda: len(rows) == 2)
            assert await serial(port, authority) == second.serial
            watch.close()

    with caplog.at_level(logging.WARNING, "ostiary"):
        within(run, main)
    reason = f"--tls-key: the key in `{first.key}` is not that of the certificate"
    assert rows == [("certificate-rejected", (reason,)), ("certificate-activated", ())]
    assert f"{reason}; the certificate in force stays" in caplog.text


def test_files_that_cannot_be_used_are_refused_with_the_reason(tmp_path: Path) -> None:
    """Missing, not PEM, no key, somebody else's key, locked, readable by others."""
    authority = Authority(tmp_path)
    leaf, other = authority.leaf("leaf"), authority.leaf("other")
    text = tmp_path / "text.pem"
    text.write_text("hello")
    text.chmod(0o600)
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    locked = tmp_path / "locked.key"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    locked.chmod(0o600)
    shared = authority.leaf("shared")
    shared.key.chmod(0o640)

    def said(cert: Path, key: Path) -> str:
        with pytest.raises(CallerFault) as caught:
            Certificate(KeyPair("tls", cert, key), now)
        return caught.value.message.replace(str(tmp_path), "")

    assert (
        said(tmp_path / "no.pem", leaf.key) == "--tls-cert: cannot read `/no.pem`: no such file or directory"
    )
    assert (
        said(leaf.cert, tmp_path / "no.key") == "--tls-key: cannot read `/no.key`: no such file or directory"
    )
    assert said(text, leaf.key) == "--tls-cert: `/text.pem` holds no certificate in PEM form"
    assert said(broken, leaf.key) == "--tls-cert: `/broken.pem` holds no certificate in PEM form"
    assert said(leaf.cert, text) == "--tls-key: `/text.pem` holds no key in PEM form"
    assert said(leaf.cert, other.key) == "--tls-key: the key in `/other.key` is not that of the certificate"
    assert said(leaf.cert, locked) == "--tls-key: the key in `/locked.key` is locked with a pass phrase"
    assert said(shared.cert, shared.key) == "--tls-key: others can read or write `/shared.key`"


def test_certificate_out_of_its_time_is_used_with_a_warning(tmp_path: Path) -> None:
    """The operator may be about to replace it; clients refuse it anyway."""
    authority = Authority(tmp_path)
    past = Certificate(pair(authority.leaf("past", valid=(-3 * DAY, -DAY))), now)
    future = Certificate(pair(authority.leaf("future", valid=(DAY, 3 * DAY))), now)
    good = Certificate(pair(authority.leaf("good")), now)

    assert "past.pem` has expired on 20" in past.warnings[0]
    assert "future.pem` is not valid before 20" in future.warnings[0]
    assert good.warnings == []


def test_chain_and_key_may_stand_in_one_file(tmp_path: Path) -> None:
    leaf = Authority(tmp_path).leaf()
    both = tmp_path / "both.pem"
    both.write_bytes(leaf.key.read_bytes() + leaf.cert.read_bytes())
    both.chmod(0o600)

    assert Certificate(KeyPair("tls", both, both), now).warnings == []


@LOOPS
def test_plain_http_on_the_tls_port_ends_without_a_traceback(run, tmp_path: Path) -> None:
    """HTTP case 23: so does a client that hangs up, and one that sends rubbish; the next one is served."""
    authority = Authority(tmp_path)
    certificate = Certificate(pair(authority.leaf()), now)

    async def main() -> None:
        logged = faults(asyncio.get_running_loop())
        kept = Kept()
        async with secured(kept, certificate) as (server, port):
            for data in (post(b"1"), b"", b"\x16\x03\x01\x02", b"\x00" * 5000):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(data)
                if data:
                    await writer.drain()
                    with contextlib.suppress(OSError):
                        writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    assert b"HTTP" not in await asyncio.wait_for(reader.read(), 5) if data else True
                writer.close()
            await until(lambda: server.connections == 0)
            async with trusting(port, authority.client()) as (reader, writer):
                writer.write(post(b"1"))
                await until(lambda: kept.asked)
            assert len(kept.asked) == 1
        assert logged == []

    within(run, main)


@LOOPS
def test_handshake_that_is_not_finished_has_a_time_limit_and_takes_a_place(run, tmp_path: Path) -> None:
    """HTTP case 22: silent connections count before their handshake and are closed in time."""
    certificate = Certificate(pair(Authority(tmp_path).leaf()), now)
    limits = Limits(tls_handshake_timeout=1.0, connections=2)

    async def main() -> None:
        logged = faults(asyncio.get_running_loop())
        async with secured(echo, certificate, limits) as (server, port):
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
            await until(lambda: server.connections == 4)
            for reader, writer in opened:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
                writer.close()
            await until(lambda: server.connections == 0)
        assert logged == []

    within(run, main)


@LOOPS
def test_connection_that_ends_without_close_notify_frees_its_place(run, tmp_path: Path) -> None:
    """HTTP case 23: the running call hears that its client has gone."""
    authority = Authority(tmp_path)
    certificate = Certificate(pair(authority.leaf()), now)

    async def main() -> None:
        logged = faults(asyncio.get_running_loop())
        kept = Kept()
        gone: list[bool] = []
        async with secured(kept, certificate) as (server, port):
            loop = asyncio.get_running_loop()
            sock = socket.create_connection(("127.0.0.1", port))
            context = authority.client()
            secure = await loop.run_in_executor(
                None, lambda: context.wrap_socket(sock, server_hostname="localhost")
            )
            await loop.run_in_executor(None, secure.sendall, post(b"1"))
            await until(lambda: kept.asked)
            kept.asked[0][1].on_gone = lambda: gone.append(True)
            socket.socket(fileno=secure.detach()).close()
            await until(lambda: gone and server.connections == 0)
        assert logged == []

    within(run, main)


@LOOPS
def test_client_that_says_goodbye_while_its_call_runs_is_told_off_quietly(
    run, tmp_path: Path, caplog
) -> None:
    """TLS has no half-closed connections in practice: after close_notify there is no answer."""
    authority = Authority(tmp_path)
    certificate = Certificate(pair(authority.leaf()), now)

    async def main() -> None:
        kept = Kept()
        gone: list[bool] = []
        async with secured(kept, certificate) as (server, port):
            async with trusting(port, authority.client()) as (_, writer):
                writer.write(post(b"1"))
                await until(lambda: kept.asked)
                kept.asked[0][1].on_gone = lambda: gone.append(True)
            await until(lambda: gone and server.connections == 0)

    within(run, main)
    assert "eof_received" not in caplog.text


def test_renegotiation_is_not_possible(tmp_path: Path) -> None:
    """TLS 1.2: a client that asks for it gets an alert and never a second handshake (CVE-2011-1473)."""
    certificate = Certificate(pair(Authority(tmp_path).leaf()), now)

    assert certificate.context.options & ssl.OP_NO_RENEGOTIATION
    assert certificate._current.options & ssl.OP_NO_RENEGOTIATION

    async def main() -> None:
        async with secured(echo, certificate) as (_, port):
            client = await asyncio.create_subprocess_exec(
                str(needs_program("openssl")), "s_client", "-tls1_2", "-connect", f"127.0.0.1:{port}",
                stdin=PIPE, stdout=PIPE, stderr=STDOUT,
            )  # fmt: skip
            assert client.stdin
            assert client.stdout
            said = await client.stdout.readuntil(b"---\n")
            client.stdin.write(b"R\n")
            await client.stdin.drain()
            said += await client.stdout.read()
            await client.wait()
            assert b"no renegotiation" in said.lower()

    within(asyncio.run, main)


@LOOPS
def test_slow_reader_over_tls_pauses_the_answer(run, tmp_path: Path) -> None:
    """HTTP case 19: what is held is bounded by the high-water mark here too, and all of it arrives."""
    authority = Authority(tmp_path)
    certificate = Certificate(pair(authority.leaf()), now)
    total = 20_000_000

    async def main() -> None:
        kept = Kept()
        async with secured(kept, certificate) as (_, port), trusting(port, authority.client()) as (r, w):
            w.write(post())
            await until(lambda: kept.asked)
            responder = kept.asked[0][1]
            flowing = asyncio.Event()
            flowing.set()
            responder.on_pause, responder.on_resume = flowing.clear, flowing.set
            responder.start(Head(200, (), total))
            sent = 0
            while flowing.is_set() and sent < total:
                responder.write(b"x" * 50_000)
                sent += 50_000
                await asyncio.sleep(0)
            assert sent < total

            async def rest() -> None:
                for _ in range((total - sent) // 50_000):
                    await flowing.wait()
                    responder.write(b"x" * 50_000)
                responder.finish()

            sending = asyncio.get_running_loop().create_task(rest())
            await r.readuntil(b"\r\n\r\n")
            assert len(await r.readexactly(total)) == total
            await sending

    within(run, main)
