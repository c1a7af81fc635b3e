"""The upstream and everything that stands in front of it, all up at once."""

from __future__ import annotations

import contextlib
import http.client
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import scenario
from benchmarks.machine import CACHE, MissingError, compiled, cores, free_port, nginx_program, running

_NGINX = """
daemon off; master_process off; pid {home}/pid; error_log stderr error; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {home}; proxy_temp_path {home}; fastcgi_temp_path {home};
  uwsgi_temp_path {home}; scgi_temp_path {home};
  upstream behind {{ server 127.0.0.1:{behind}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ''; }}
  }}
}}
"""


@dataclass(slots=True)
class Gateway:
    """One thing to load. `pid` is 0 for the upstream itself; `calls` counts what it was asked."""

    name: str
    port: int
    pid: int
    requests: dict[str, Path]
    state: Path | None = None
    calls: int = 0


@dataclass(slots=True)
class World:
    """Everything that runs, by name, and what could not be started."""

    home: Path
    upstream_pid: int
    gateways: list[Gateway] = field(default_factory=list[Gateway])
    missing: list[str] = field(default_factory=list[str])


GATES = {
    "ostiary": ("policy", "process"),
    "ostiary power": ("policy", "power"),
    "ostiary allow-all": ("allow-all", "process"),
}
"""Each configuration of the gate by name: its policy and its durability."""


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Start all of it, and stop only that."""
    upstream = compiled("upstream")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        _write_files(home)
        port = free_port()
        command = [str(upstream), "http", str(port), str(home / "result.json"), str(home / "tools.json")]
        pid = stack.enter_context(running(command, port, cores()[0], home / "upstream.log"))
        made = World(home, pid)
        made.gateways.append(_gateway(home, "direct", port, 0))
        try:
            made.gateways.append(_nginx(stack, home, port))
        except MissingError as error:
            made.missing.append(f"nginx: {error}; there is nothing to compare with")
        for name, (policy, durability) in GATES.items():
            made.gateways.append(_gate(stack, home, port, (name, policy, durability)))
        yield made


def _write_files(home: Path) -> None:
    files = {
        "result.json": scenario.compact(scenario.RESULT),
        "tools.json": scenario.compact(scenario.TOOLS),
        "policy.json": scenario.compact(scenario.POLICY),
        "allow-all.json": scenario.compact(scenario.ALLOW_ALL),
        "json.answer": scenario.answer(),
        "events.answer": scenario.streamed_answer(),
        "pipe.hello": scenario.hello() + "\n",
        "pipe.request": scenario.call(scenario.TOOL) + "\n",
        "pipe.answer": scenario.answer() + "\n",
        "token": scenario.TOKEN + "\n",
    }
    for name, text in files.items():
        (home / name).write_text(text)
    (home / "token").chmod(0o600)


def _nginx(stack: contextlib.ExitStack, home: Path, behind: int) -> Gateway:
    port = free_port()
    own = home / "nginx"
    own.mkdir()
    config = own / "nginx.conf"
    config.write_text(_NGINX.format(home=own, port=port, behind=behind))
    command = [str(nginx_program()), "-p", str(own), "-e", "stderr", "-c", str(config)]
    pid = stack.enter_context(running(command, port, cores()[1], home / "nginx.log"))
    return _gateway(home, "nginx", port, pid)


def _gate(stack: contextlib.ExitStack, home: Path, behind: int, gate: tuple[str, str, str]) -> Gateway:
    name, policy, durability = gate
    port = free_port()
    state = home / name.replace(" ", "-")
    command = [sys.executable, "-m", "ostiary", "proxy", "-p", str(home / f"{policy}.json")]
    command += ["--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{behind}/mcp"]
    command += ["--state-dir", str(state), "--durability", durability, "--token-file", str(home / "token")]
    pid = stack.enter_context(running(command, port, cores()[1], home / f"{state.name}.log"))
    made = _gateway(home, name, port, pid)
    made.state = state
    return made


def _gateway(home: Path, name: str, port: int, pid: int) -> Gateway:
    """Open a session, and write the requests to be sent in it."""
    session = _session(port)
    made = Gateway(name, port, pid, {})
    for kind, tool in (("json", scenario.TOOL), ("events", scenario.STREAMED)):
        path = home / f"{name.replace(' ', '-')}.{kind}.request"
        path.write_bytes(scenario.http_request(port, tool, session).encode())
        made.requests[kind] = path
    return made


def _session(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/mcp", scenario.hello(), scenario.http_headers())
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        if answer.status != 200:
            raise MissingError(f"initialize was answered with {answer.status}: {body[:200]}")
        return answer.headers["mcp-session-id"]
    finally:
        connection.close()


def recorded(state: Path) -> tuple[int, int]:
    """How many intents and outcomes a gate has written so far."""
    address = f"file:{state / 'ostiary.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
        counts = dict(connection.execute("SELECT kind, count(*) FROM records GROUP BY kind").fetchall())
    return counts.get("intent", 0), counts.get("outcome", 0)
