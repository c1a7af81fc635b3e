"""The network side of a running gate: TLS, an egress proxy, limits, balancers, signals."""

from __future__ import annotations

import asyncio
import http.client
import json
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import world
from tests.e2e.driver import PYTHON_2, Driver
from tests.needs import needs_program
from tests.proxy.certificates import DAY, Authority
from tests.proxy.connect_proxy import ConnectProxy

pytestmark = [pytest.mark.service, pytest.mark.timeout(60)]

TYPES = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "e2e", "version": "1"},
    },
}


def events(gate: world.Gate, kind: str) -> list[dict[str, Any]]:
    """Event rows of one kind, oldest first."""
    told = world.ostiary("audit", "tail", "-n", "100", "--format", "json", state=gate.state).stdout
    rows = [json.loads(line)["record"] for line in told.splitlines()]
    return [row for row in rows if row.get("method") == kind]


def shown_serial(port: int, authority: Authority) -> int:
    """The serial number of the certificate that a new handshake shows."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
        authority.client().wrap_socket(raw, server_hostname="127.0.0.1") as secure,
    ):
        certificate = secure.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)


def test_clients_speak_tls_with_the_gate_and_need_the_token_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Curl, and the official Python client told by SSL_CERT_FILE whom to trust."""
    authority = Authority(tmp_path)
    leaf = authority.leaf()
    options = ["--tls-cert", str(leaf.cert), "--tls-key", str(leaf.key)]
    gate = world.Gate(world.ALLOW_ALL, tmp_path, *options, upstream=world.MODERN)
    curl = [str(needs_program("curl")), "--silent", "--show-error", "--max-time", "20", "--cacert"]

    def post(*more: str) -> str:
        headers = [part for name, value in TYPES.items() for part in ("-H", f"{name}: {value}")]
        command = [*curl, str(authority.file), *headers, *more, "-d", json.dumps(HELLO), gate.http.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert gate.http.url.startswith("https://")
    assert "serverInfo" in post("-H", f"Authorization: Bearer {gate.http.token}")
    assert "a bearer token is needed" in post()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    driver = Driver(PYTHON_2.command())
    client = driver.connect("trusting", gate.http)
    answer = client.ask("tools/call", {"name": "add", "arguments": {"numbers": [1, 2]}})
    driver.reply(driver.begin("close", "trusting"))
    driver.end()

    assert answer["result"]["structuredContent"] == {"total": 3, "parts": [1, 2]}
    assert gate.stop() == 0
    assert "Traceback" not in gate.told()


def test_changed_certificate_is_taken_over_and_recorded(tmp_path: Path) -> None:
    """A key that does not match is refused first; an open connection outlives both."""
    authority = Authority(tmp_path)
    first, second = authority.leaf("first"), authority.leaf("second")
    options = ["--tls-cert", str(first.cert), "--tls-key", str(first.key), "--unsafe-no-token"]
    gate = world.Gate(world.ALLOW_ALL, tmp_path, *options, upstream=world.MODERN)
    line = http.client.HTTPSConnection("127.0.0.1", gate.port, timeout=20, context=authority.client())
    old = first.serial

    def healthy() -> bool:
        line.request("GET", "/healthz")
        return line.getresponse().read() == b"ok"

    assert healthy()
    assert shown_serial(gate.port, authority) == old
    second.write(first.cert, tmp_path / "elsewhere.key")
    world.wait_for("the refusal", lambda: bool(events(gate, "certificate-rejected")))
    assert shown_serial(gate.port, authority) == old
    second.write(first.cert, first.key)
    world.wait_for("the exchange", lambda: bool(events(gate, "certificate-activated")))

    assert shown_serial(gate.port, authority) == second.serial
    assert healthy()
    assert "is not that of the certificate" in events(gate, "certificate-rejected")[0]["reasons"][0]
    assert gate.stop() == 0
    assert "the certificate in force stays" in gate.told()
    assert world.ostiary("audit", "verify", state=gate.state).returncode == 0


@contextmanager
def connect_proxy(port: int) -> Iterator[tuple[ConnectProxy, int]]:
    """An egress proxy on a thread of its own; all it is asked for leads to `port` of loopback."""
    proxy = ConnectProxy(port)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(proxy, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def stop() -> None:
        server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    try:
        yield proxy, server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def test_gate_reaches_its_server_through_the_egress_proxy(tmp_path: Path) -> None:
    """Two gates in a row: the outer one finds the inner one's TLS listener by CONNECT and by name."""
    authority = Authority(tmp_path)
    leaf = authority.leaf(names=("tools.example",))
    (tmp_path / "inner").mkdir()
    inner = world.Gate(
        world.ALLOW_ALL, tmp_path / "inner", "--tls-cert", str(leaf.cert), "--tls-key", str(leaf.key),
        "--allowed-host", "tools.example", upstream=world.MODERN,
    )  # fmt: skip
    environ = {"SSL_CERT_FILE": str(authority.file), "LOGIN": f"Bearer {inner.http.token}"}
    with connect_proxy(inner.port) as (proxy, port):
        environ["HTTPS_PROXY"] = f"http://ada:s3cret@127.0.0.1:{port}"
        (tmp_path / "outer").mkdir()
        outer = world.Gate(
            world.ALLOW_ALL, tmp_path / "outer", "--header-env", "Authorization: LOGIN",
            upstream="https://tools.example:9443/mcp", env=environ,
        )  # fmt: skip
        driver = Driver(PYTHON_2.command())
        client = driver.connect("outside", outer.http)
        answer = client.ask("tools/call", {"name": "add", "arguments": {"numbers": [2, 3]}})
        driver.reply(driver.begin("close", "outside"))
        driver.end()
        status = outer.stop()

    assert answer["result"]["structuredContent"]["total"] == 5
    assert proxy.heads[0].startswith(b"CONNECT tools.example:9443 HTTP/1.1\r\n")
    assert b"proxy-authorization: Basic " in proxy.heads[0]
    assert (status, inner.stop()) == (0, 0)
    assert "s3cret" not in outer.told() + world.ostiary("audit", "export", state=outer.state).stdout


def refused(folder: Path, *options: str, upstream: str = "", env: dict[str, str] | None = None) -> str:
    """What a gate that could not start said; without its folder."""
    command = world.proxy(
        world.ALLOW_ALL, world.state_folder(folder), *options, upstream=upstream or ["true"]
    )
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False, env=world.environment(env)
    )
    assert done.returncode == 2, done.stderr
    return done.stderr.replace(str(folder), "").strip()


def test_options_that_cannot_be_used_stop_the_start_with_a_reason(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf = authority.leaf()
    listen = ("--listen", "127.0.0.1:0")
    both = ("--tls-cert", str(leaf.cert), "--tls-key", str(leaf.key))

    assert refused(tmp_path, *listen, "--tls-cert", str(leaf.cert)).startswith(
        "error: --tls-cert is given without --tls-key"
    )
    assert refused(tmp_path, *both).startswith("error: --tls-cert is for a listener")
    assert refused(tmp_path, "--public-url", "https://a").startswith("error: --public-url is for a listener")
    assert refused(tmp_path, "--upstream-ca", "x").startswith(
        "error: --upstream-ca is for a server that is reached over https://"
    )
    assert refused(tmp_path, *listen, "--tls-cert", "no.pem", "--tls-key", "no.key") == (
        "error: --tls-cert: cannot read `no.pem`: no such file or directory"
    )
    assert refused(tmp_path, "--limit", "bdy=1").endswith("hint: did you mean `body`")
    assert refused(tmp_path, "--limit", "body=1GiB").startswith("error: --limit body: expected a size")
    assert refused(tmp_path, "--limit", "body=17MiB").endswith("out of range, which is 1KiB to 16MiB")
    assert "`HTTPS_PROXY`: a proxy is spoken to over `http://`" in refused(
        tmp_path, upstream="https://tools.example/", env={"HTTPS_PROXY": "socks5://a:1"}
    )
    assert refused(tmp_path, upstream="https://tools.example/", env={"SSL_CERT_FILE": "/no"}).startswith(
        "error: `SSL_CERT_FILE` names `/no`, which is not a file"
    )


def test_gate_starts_with_an_expired_certificate_and_says_so(tmp_path: Path) -> None:
    leaf = Authority(tmp_path).leaf(valid=(-3 * DAY, -DAY))
    options = ["--tls-cert", str(leaf.cert), "--tls-key", str(leaf.key)]
    gate = world.Gate(world.ALLOW_ALL, tmp_path, *options, upstream=world.MODERN)

    assert gate.stop() == 0
    assert "ostiary: warning: the certificate" in gate.told()
    assert "leaf.pem` has expired on 20" in gate.told()


def test_limits_of_the_command_line_are_in_force(tmp_path: Path) -> None:
    """A larger body than the default passes, a larger head than the given one does not."""
    gate = world.Gate(
        world.ALLOW_ALL, tmp_path, "--unsafe-no-token", "--limit", "body=6MiB", "--limit", "head=2KiB",
        upstream=world.MODERN,
    )  # fmt: skip
    large = HELLO | {"params": HELLO["params"] | {"_meta": {"example.org/padding": "x" * 5_000_000}}}

    def status(body: Any, **headers: str) -> int:
        line = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
        line.request("POST", "/mcp", json.dumps(body), TYPES | headers)
        found = line.getresponse().status
        line.close()
        return found

    assert status(large) == 200
    assert status(large | {"id": "x" * 2_000_000}) == 413
    assert status(HELLO, Example="x" * 3000) == 431
    assert gate.stop() == 0


def test_gate_behind_a_balancer_knows_its_public_name_and_its_clients(tmp_path: Path) -> None:
    command = world.proxy(
        world.ALLOW_ALL, world.state_folder(tmp_path), "--listen", "127.0.0.1:0", "--public-url",
        "https://tools.example:8443", "--trusted-proxy", "127.0.0.0/8", "--log-level", "info",
        upstream=world.MODERN,
    )  # fmt: skip
    gate = world.Process(command, tmp_path / "gate.log")
    world.wait_for("the banner", lambda: "Ctrl-C" in gate.told(), 15)
    port = int(gate.told().partition("listens on   http://127.0.0.1:")[2].partition("/")[0])

    def status(host: str) -> int:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        line.request("POST", "/mcp", b"{}", TYPES | {"Host": host, "X-Forwarded-For": "203.0.113.7"})
        found = line.getresponse().status
        line.close()
        return found

    assert "URL          https://tools.example:8443/mcp" in gate.told()
    assert status("tools.example:8443") == 401
    assert status("tools.example:443") == 421
    assert "turned away 203.0.113.7: 401" in gate.told()
    assert gate.stop() == 0


def test_second_signal_ends_the_gate_at_once(tmp_path: Path) -> None:
    """A call that never ends would hold the drain for ten seconds."""
    silent = socket.create_server(("127.0.0.1", 0))
    gate = world.Gate(
        None, tmp_path, "--unsafe-no-token", "--limit", "drain=30s",
        upstream=f"http://127.0.0.1:{silent.getsockname()[1]}/",
    )  # fmt: skip
    line = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    line.request("POST", "/mcp", json.dumps(HELLO), TYPES)
    held, _ = silent.accept()
    gate.process.send_signal(signal.SIGTERM)
    world.wait_for("the drain", lambda: "draining" in gate.told())
    assert not gate.ended()
    gate.process.send_signal(signal.SIGTERM)

    assert gate.process.wait(timeout=10) == -signal.SIGTERM
    for sock in (held, silent, line):
        sock.close()
    assert world.ostiary("audit", "verify", state=gate.state).returncode == 0


def test_drain_ends_at_its_deadline_and_the_exit_status_is_0(tmp_path: Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    gate = world.Gate(
        None, tmp_path, "--unsafe-no-token", "--limit", "drain=200ms",
        upstream=f"http://127.0.0.1:{silent.getsockname()[1]}/",
    )  # fmt: skip
    line = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    line.request("POST", "/mcp", json.dumps(HELLO), TYPES)
    held, _ = silent.accept()

    assert gate.stop(signal.SIGINT) == 0
    with pytest.raises((http.client.HTTPException, OSError)):
        line.getresponse()
    for sock in (held, silent, line):
        sock.close()


def test_soft_limit_of_descriptors_is_raised_and_a_low_hard_limit_is_told(tmp_path: Path) -> None:
    """The gate inherits 256 of 512, and takes what there is."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    shell = ["sh", "-c", 'ulimit -Sn 256; ulimit -Hn 512; exec "$@"', "sh"]
    command = world.proxy(
        world.ALLOW_ALL, world.state_folder(tmp_path), "--listen", "127.0.0.1:0", upstream=world.MODERN
    )
    gate = world.Process([*shell, *command], tmp_path / "gate.log")
    world.wait_for("the banner", lambda: "Ctrl-C" in gate.told(), 15)
    limits = Path(f"/proc/{gate.process.pid}/limits").read_text()
    opened = next(text for text in limits.splitlines() if text.startswith("Max open files")).split()

    assert opened[3:5] == ["512", "512"]
    assert "need 15248 file descriptors, and this process may have 512" in gate.told()
    assert gate.stop() == 0
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
