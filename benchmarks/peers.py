"""The other gateways of the comparison: nginx and haproxy, and what is written in Python.

nginx and haproxy only pass bytes on. The Python ones parse, and one of them decides by a policy like
ours and keeps a hash chain. mcp-proxy stands between HTTP and stdio, so its upstream is a pipe.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import scenario
from benchmarks.machine import HERE, MissingError, compiled, cores, proxy_command, running

ENVIRONMENTS = HERE.parent / ".venvs"

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

_HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  default_backend behind
backend behind
  server one 127.0.0.1:{behind}
"""

_FASTMCP = """
from fastmcp.server import create_proxy

create_proxy("http://127.0.0.1:{behind}/mcp").run(
    transport="http", host="127.0.0.1", port={port}, show_banner=False, log_level="ERROR"
)
"""

_POLICY_GATEWAY = """
version: 1
upstreams:
  s: {{transport: http, url: "http://127.0.0.1:{behind}/mcp"}}
tokens:
  - {{name: bench, policy: p, sha256: {token}}}
policies:
  p:
    default: deny
    rules:
      - effect: allow
        tools: ["*{tool}*"]
        when:
          args.mode: {{in: [append, create]}}
          args.retries: {{lte: 5}}
          args.owner.team: {{eq: data}}
        rate_limits: [calls]
rate_limits:
  calls: {{rate: 1000000000, per: 60s}}
audit: {{path: {home}/audit.jsonl}}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer runs: its folder, its port and the upstream's port."""

    home: Path
    port: int
    behind: int


def _written(place: Place, name: str, template: str) -> str:
    path = place.home / name
    token = hashlib.sha256(scenario.TOKEN.encode()).hexdigest()
    path.write_text(
        template.format(
            home=place.home, port=place.port, behind=place.behind, token=token, tool=scenario.TOOL
        )
    )
    return str(path)


def _nginx(place: Place) -> list[str]:
    config = _written(place, "nginx.conf", _NGINX)
    return [*proxy_command("nginx"), "-p", str(place.home), "-e", "stderr", "-c", config]


def _haproxy(place: Place) -> list[str]:
    return [*proxy_command("haproxy"), "-db", "-f", _written(place, "haproxy.cfg", _HAPROXY)]


def _fastmcp(place: Place) -> list[str]:
    return [_program("gateways2", "python"), _written(place, "proxy.py", _FASTMCP)]


def _policy_gateway(place: Place) -> list[str]:
    config = _written(place, "gateway.yaml", _POLICY_GATEWAY)
    program = _program("gateways2", "mcp-policy-gateway")
    return [program, "run", "-c", config, "--transport", "http", "--port", str(place.port)]


def _mcp_proxy(place: Place) -> list[str]:
    files = place.home.parent
    behind = [str(compiled("upstream")), "pipe", str(files / "result.json"), str(files / "tools.json")]
    program = _program("gateways1", "mcp-proxy")
    return [program, "--port", str(place.port), "--log-level", "ERROR", "--", *behind]


def _program(environment: str, name: str) -> str:
    path = ENVIRONMENTS / environment / "bin" / name
    if not path.exists():
        raise MissingError(f"`make .venvs/{environment}/stamp` brings it")
    return str(path)


PLAIN: dict[str, Callable[[Place], Sequence[str]]] = {"nginx": _nginx, "haproxy": _haproxy}
"""Proxies that pass bytes on."""

PYTHON: dict[str, Callable[[Place], Sequence[str]]] = {
    "fastmcp proxy": _fastmcp,
    "mcp-policy-gateway": _policy_gateway,
    "mcp-proxy": _mcp_proxy,
}
"""Gateways for MCP that are written in Python, from PyPI."""


def started(
    stack: contextlib.ExitStack, command: Callable[[Place], Sequence[str]], place: Place, log: Path
) -> int:
    """Start a peer on the gateways' core; its process id. Raises MissingError where it is not here."""
    place.home.mkdir()
    return stack.enter_context(running(command(place), place.port, cores()[1], log))
