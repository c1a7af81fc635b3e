"""A server over TLS that tells what it was sent, in one way or another. Made without the code under test."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.proxy.certificates import Pem


class Seen:
    """What came: the head of each request as (path, headers, body)."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"


@contextmanager
def https_server(shown: Pem) -> Iterator[Seen]:
    """Serve on a free port of this machine until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            seen.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            answer(self, self.path.partition("?")[0], json.dumps(dict(self.headers.items())).encode())

        do_POST = do_GET  # noqa: N815 - likewise

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = shown.server().wrap_socket(server.socket, server_side=True)
    seen = Seen(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def answer(handler: BaseHTTPRequestHandler, path: str, told: bytes) -> None:
    """What was sent, told back as the path says."""
    token = handler.headers.get("x-token") or handler.headers.get("authorization") or "none"
    if path == "/header":
        handler.send_response(200)
        handler.send_header("x-back", token)
        handler.send_header("content-length", "0")
        handler.end_headers()
    elif path == "/split":
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for byte in told:
            handler.wfile.write(b"1\r\n%c\r\n" % byte)
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")
    elif path == "/gzip":
        packed = gzip.compress(told)
        handler.send_response(200)
        handler.send_header("content-encoding", "gzip")
        handler.send_header("content-length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed)
    elif path == "/smuggle":
        handler.wfile.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        handler.close_connection = True
    else:
        handler.send_response(200)
        handler.send_header("content-length", str(len(told)))
        handler.end_headers()
        handler.wfile.write(told)
