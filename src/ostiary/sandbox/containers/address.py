"""Where the engine is: from the operator's setting, from the environment, or where it usually is."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from ostiary.sandbox.containers.faults import EngineFault

_PLAIN_PORT, _TLS_PORT = 2375, 2376


class Address(NamedTuple):
    """`url` is what people are told. Either `path` names a socket, or `host` and `port` a place."""

    url: str
    path: str = ""
    host: str = ""
    port: int = 0
    certificates: str = ""
    """The folder of `ca.pem`, `cert.pem` and `key.pem`; empty without TLS."""

    def context(self) -> ssl.SSLContext | None:
        """What a TLS connection is made with; None without TLS. Raises OSError, ssl.SSLError."""
        if not self.certificates:
            return None
        folder = Path(self.certificates)
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        return context


def find_address(host: str, environ: Mapping[str, str]) -> Address:
    """The engine that was named, else the first usual socket that exists.

    Raises EngineFault: an address of another kind, or no engine.
    """
    url = host or environ.get("DOCKER_HOST", "")
    if url:
        return _read(url, environ)
    usual = ["/var/run/docker.sock", "/run/podman/podman.sock"]
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        usual.insert(1, f"{runtime}/podman/podman.sock")
    for path in usual:
        if Path(path).exists():
            return Address(f"unix://{path}", path=path)
    raise EngineFault(
        f"no container engine was found: there is no socket at {', '.join(usual)}",
        hint="start Docker, or `podman system service`, or say where it is with DOCKER_HOST",
    )


def _read(url: str, environ: Mapping[str, str]) -> Address:
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return Address(url, path=parts.path)
    if parts.scheme in ("tcp", "https") and parts.hostname:
        tls = parts.scheme == "https" or bool(environ.get("DOCKER_TLS_VERIFY"))
        folder = environ.get("DOCKER_CERT_PATH") or str(Path(environ.get("HOME", "~")) / ".docker")
        port = parts.port or (_TLS_PORT if tls else _PLAIN_PORT)
        return Address(f"tcp://{parts.hostname}:{port}", "", parts.hostname, port, folder if tls else "")
    raise EngineFault(
        f"the engine's address begins with `{parts.scheme}:`, which is not spoken here",
        hint="give `unix:///path` or `tcp://host:port`; for ssh, forward the socket: `ssh -L`",
    )


def advice(address: Address) -> str:
    """What to do when an engine cannot be reached there."""
    if address.path and not Path(address.path).exists():
        return "start it (`systemctl start docker`), or say where it is with DOCKER_HOST"
    if address.path and not os.access(address.path, os.W_OK):
        return "this user may not use its socket: add it to the group `docker`, or use rootless podman"
    return "look whether it runs: `docker version`"
