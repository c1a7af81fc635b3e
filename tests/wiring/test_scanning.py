"""Many servers are asked at once, and a bad one is the fault of that one alone."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ostiary.scan.scanned import Scanned, Target
from ostiary.wiring import scanning
from ostiary.wiring.scanning import scan_all
from tests.e2e.world import free_port

SERVER = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    method = asked.get("method")
    if method == "initialize":
        info = {"name": "pipe", "version": "1"}
        answer = {"result": {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": info}}
    elif method == "tools/list":
        names = [*sorted(os.environ), os.getcwd()]
        answer = {"result": {"tools": [{"name": name, "inputSchema": {}} for name in names]}}
    else:
        answer = {"error": {"code": -32601, "message": "no"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""
PIPE = (sys.executable, "-c", SERVER)


class Remote:
    """A small server over HTTP. `answers` holds results by method; `headers` those of each request."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.most = self._open = 0
        self._lock = threading.Lock()
        remote = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                remote.headers.append({name.lower(): value for name, value in self.headers.items()})
                with remote.counted():
                    answer = remote.answer(asked)
                body = json.dumps({"jsonrpc": "2.0", "id": asked.get("id"), **answer}).encode()
                self.send_response(200 if "id" in asked else 202)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body) if "id" in asked else 0))
                self.end_headers()
                self.wfile.write(body if "id" in asked else b"")

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/mcp"
        self.wait = False
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self._open += 1
            self.most = max(self.most, self._open)
        yield
        with self._lock:
            self._open -= 1

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["method"] == "initialize":
            info = {"name": "far", "version": "1"}
            return {"result": {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": info}}
        if asked["method"] == "tools/list":
            if self.wait:
                deadline = time.monotonic() + 5
                while self.most < scanning.AT_ONCE and time.monotonic() < deadline:
                    threading.Event().wait(0.01)
            return {"result": {"tools": [{"name": "t", "inputSchema": {}}]}}
        return {"error": {"code": -32601, "message": "no"}}


@pytest.fixture
def remote() -> Iterator[Remote]:
    made = Remote()
    yield made
    made.server.shutdown()
    made.server.server_close()


def dead() -> str:
    """A URL where nobody listens."""
    return f"http://127.0.0.1:{free_port()}/mcp"


def scanned(*targets: Target, **more: Any) -> tuple[Scanned, ...]:
    return scan_all(targets, dict(os.environ), on_progress=lambda _name: None, **{"seconds": 20, **more})


def test_a_server_over_http_is_asked_with_the_headers_of_its_configuration(remote: Remote) -> None:
    target = Target(name="far", transport="http", url=remote.url, headers=(("Authorization", "Bearer s"),))

    (one,) = scanned(target)

    assert one.found is not None
    assert one.found.server.name == "far"
    assert (one.network, one.isolated, one.fault) == ("remote", False, "")
    assert {seen["authorization"] for seen in remote.headers} == {"Bearer s"}


def test_bad_ones_stop_nobody_and_the_order_stays(remote: Remote) -> None:
    good = Target(name="good", transport="auto", url=remote.url)
    targets = [
        Target(name="gone", transport="http", url=dead()),
        good,
        Target(name="odd", transport="sse", url="ftp://example.org"),
        Target(name="wrong", transport="http", url=remote.url, headers=(("a b", "secret-value"),)),
        Target(name="empty", transport="stdio"),
        good,
    ]

    found = scanned(*targets, unsafe_no_isolation=True)

    assert [one.target.name for one in found] == ["gone", "good", "odd", "wrong", "empty", "good"]
    assert [one.found is not None for one in found] == [False, True, False, False, False, True]
    assert all(one.fault for one in found if one.found is None)
    assert "secret-value" not in found[3].fault + found[3].hint


def test_a_mistake_of_ours_is_the_fault_of_one_server(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scanning.prepare_network

    def broken(options: Any, *more: Any) -> Any:
        if options.upstream == "http://broken":
            raise LookupError("secret")
        return real(options, *more)

    monkeypatch.setattr(scanning, "prepare_network", broken)

    bad, good = scanned(
        Target(name="a", transport="http", url="http://broken"),
        Target(name="b", transport="http", url=remote.url),
    )

    assert bad.fault == "this server could not be scanned: LookupError"
    assert good.found is not None


def test_four_are_asked_at_the_same_time_and_each_is_told_of_by_its_name(remote: Remote) -> None:
    remote.wait = True
    told: list[str] = []
    targets = [Target(name=f"s{i}\x1b", transport="http", url=remote.url) for i in range(6)]

    found = scan_all(targets, {}, on_progress=told.append, seconds=20)

    assert all(one.found is not None for one in found)
    assert remote.most == scanning.AT_ONCE
    assert told == [f"s{i}\\u001b" for i in range(6)]


def test_without_walls_a_command_runs_in_an_empty_folder_and_knows_little_of_our_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OSTIARY_SECRET_THING", "s")
    target = Target(name="here", command=PIPE, environment={"GIVEN": "1"})

    (one,) = scanned(target, unsafe_no_isolation=True)

    assert one.found is not None
    names = [tool.name for tool in one.found.tools]
    assert "GIVEN" in names
    assert "OSTIARY_SECRET_THING" not in names
    assert not Path(names[-1]).exists()  # where it ran, gone by now
    assert (one.isolated, one.network) == (False, "all")
