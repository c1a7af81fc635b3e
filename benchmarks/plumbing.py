"""CPU per request of the HTTP plumbing alone: listener, pool, and a relay without any decision.

Runs nginx as the upstream, nginx as a plain proxy for comparison, and the plumbing, one after
the other under the same load from wrk, and prints requests per second and CPU microseconds per
request of the process in the middle. Load and upstream share core 0, the middle has core 1.

    python benchmarks/plumbing.py [--seconds 2] [--connections 32] [--loop uvloop|asyncio]

Compare figures of one run only: absolute ones depend on the machine and on what else it does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import uvloop

from benchmarks.machine import proxy_command
from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import ClientRequest, Head, Responder, UpstreamRequest
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.http.server import HttpServer

_ANSWER = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"' + "x" * 200 + '"}]}}'
_BODY = (
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"city":"Vaduz",'
    '"days":3,"units":"metric","note":"' + "n" * 200 + '"}}}'
)
_FORWARDED = frozenset({b"accept", b"content-type", b"mcp-protocol-version", b"mcp-session-id"})

_NGINX = """
daemon off; master_process off; pid {home}/pid; error_log stderr error; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {home}; proxy_temp_path {home}; fastcgi_temp_path {home};
  uwsgi_temp_path {home}; scgi_temp_path {home};
  upstream behind {{ server 127.0.0.1:{behind}; keepalive 512; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ {action} }} }}
}}
"""

_LUA = """
wrk.method = "POST"
wrk.body = [[{body}]]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json, text/event-stream"
wrk.headers["Authorization"] = "Bearer ost_0123456789abcdefghijklmnopqrstuvwxyz0123456"
wrk.headers["MCP-Protocol-Version"] = "2025-11-25"
"""


class Relay:
    """Answers one client with what the upstream answers."""

    __slots__ = ("_responder",)

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def head(self, head: Head) -> None:
        kept = [header for header in head.headers if header[0] == b"content-type"]
        self._responder.start(Head(head.status, kept, head.length))

    def data(self, data: bytes) -> None:
        self._responder.write(data)

    def end(self) -> None:
        self._responder.finish()

    def fault(self, fault: UpstreamFault) -> None:
        print(fault, file=sys.stderr)
        self._responder.abort()


async def serve(port: int, behind: int) -> None:
    """Relay everything until killed."""
    upstream = HttpUpstream(f"http://127.0.0.1:{behind}/mcp")

    def relay(request: ClientRequest, responder: Responder) -> None:
        headers = [header for header in request.headers if header[0] in _FORWARDED]
        flow = upstream.send(UpstreamRequest(request.method, headers, request.body), Relay(responder))
        responder.on_gone = flow.cancel
        responder.on_pause = flow.pause
        responder.on_resume = flow.resume

    server = HttpServer(relay)
    await server.listen("127.0.0.1", port)
    await asyncio.get_running_loop().create_future()


def free_port() -> int:
    """A loopback port nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: list[str], port: int, core: int) -> Generator[int, None, None]:
    """Run `command` on one core until the block ends; yields its process id once it listens."""
    process = subprocess.Popen(["taskset", "-c", str(core), *command])
    try:
        deadline = time.monotonic() + 5
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"`{command[0]}` does not listen")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def nginx(home: Path, port: int, action: str, behind: int = 9) -> list[str]:
    """The command for an nginx that does `action` with every request."""
    home.mkdir()
    config = home / "nginx.conf"
    config.write_text(_NGINX.format(home=home, port=port, action=action, behind=behind))
    return [*proxy_command("nginx"), "-p", str(home), "-c", str(config)]


def cpu(pid: int) -> tuple[float, float]:
    """User and system CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def measure(name: str, pid: int, port: int, script: Path, options: argparse.Namespace) -> float:
    """Load one port and print a line; returns the requests per second."""
    before = cpu(pid)
    command = [
        "taskset",
        "-c",
        "0",
        "wrk",
        "-t1",
        f"-c{options.connections}",
        f"-d{options.seconds}s",
        "--latency",
    ]
    command += ["-s", str(script), f"http://127.0.0.1:{port}/mcp"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    user, system = (after - start for after, start in zip(cpu(pid), before, strict=True))
    done = sum(int(number) for number in re.findall(r"(\d+) requests in", text))
    bad = re.search(r"Non-2xx.*|Socket errors.*", text)
    rate = done / options.seconds
    latency = " ".join(f"p{q} {v}" for q, v in re.findall(r"(50|99)%\s+(\S+)", text))
    spent = f"user {user / done * 1e6:5.1f} us  sys {system / done * 1e6:5.1f} us"
    print(f"{name:10} {rate:8.0f} req/s  {spent}  {latency}{'  ' + bad[0] if bad else ''}")
    return rate


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--serve", nargs=2, type=int, metavar=("PORT", "BEHIND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        run = uvloop.run if options.loop == "uvloop" else asyncio.run
        run(serve(*options.serve))
        return
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        base = Path(home)
        script = base / "post.lua"
        script.write_text(_LUA.format(body=_BODY))
        behind, proxy, own = free_port(), free_port(), free_port()
        pid = stack.enter_context(
            running(nginx(base / "behind", behind, f"return 200 '{_ANSWER}';"), behind, 0)
        )
        measure("direct", pid, behind, script, options)
        passing = "proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection '';"
        with running(nginx(base / "proxy", proxy, passing, behind), proxy, 1) as pid:
            theirs = measure("nginx", pid, proxy, script, options)
        command = [sys.executable, __file__, "--loop", options.loop, "--serve", str(own), str(behind)]
        with running(command, own, 1) as pid:
            ours = measure("plumbing", pid, own, script, options)
        print(f"ratio      {ours / theirs:.2f} of nginx")


if __name__ == "__main__":
    main()
