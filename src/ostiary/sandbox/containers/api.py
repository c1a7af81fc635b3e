"""The part of the engine's API that is used, as the docker SDK has it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from ostiary.sandbox.containers.address import Address

Json = dict[str, Any]


class Api(Protocol):
    """`docker.APIClient`. Its methods block, and raise `docker.errors.APIError` or what requests raises."""

    api_version: str

    def version(self) -> Json: ...
    def info(self) -> Json: ...
    def containers(self, *, all: bool, filters: Mapping[str, Any] | None = None) -> list[Json]: ...  # noqa: A002 - as the SDK has it
    def images(self, *, all: bool) -> list[Json]: ...  # noqa: A002 - both as the SDK has it
    def inspect_container(self, container: str) -> Json: ...
    def inspect_image(self, image: str) -> Json: ...
    def inspect_volume(self, name: str) -> Json: ...
    def inspect_network(self, net_id: str) -> Json: ...
    def create_container_from_config(self, config: Json, name: str) -> Json: ...
    def start(self, container: str) -> None: ...
    def kill(self, container: str) -> None: ...
    def remove_container(self, container: str, *, v: bool, force: bool) -> None: ...
    def exec_inspect(self, exec_id: str) -> Json: ...
    def stats(self, container: str, *, stream: bool) -> Json: ...
    def put_archive(self, container: str, path: str, data: bytes) -> bool: ...
    def pull(self, repository: str, *, stream: bool, decode: bool) -> Iterable[Json]: ...
    def close(self) -> None: ...


def connect(address: Address, *, timeout: float) -> Api:
    """A client of the engine there, at the newest version of the API that both know.

    Raises `docker.errors.DockerException` when it cannot be reached.
    """
    docker = import_module("docker")  # takes 0.3 s, which a server that never needs it must not pay
    url = f"unix://{address.path}" if address.path else f"tcp://{address.host}:{address.port}"
    tls: Any = False
    if address.certificates:
        folder = address.certificates
        tls = docker.tls.TLSConfig(
            client_cert=(f"{folder}/cert.pem", f"{folder}/key.pem"), ca_cert=f"{folder}/ca.pem", verify=True
        )
    client = _over_unix(docker, address.path, timeout) if address.path else docker.APIClient
    return cast("Api", client(base_url=url, version="auto", timeout=timeout, tls=tls))


def _over_unix(docker: Any, path: str, timeout: float) -> Any:
    """A class of clients that close a socket which could not be connected: the SDK (7.1) leaves it open."""
    unix = import_module("docker.transport.unixconn")

    class Connection(unix.UnixHTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX)  # urllib3 closes what is here when a request fails
            self.sock.settimeout(timeout)
            self.sock.connect(path)

    class Pool(unix.UnixHTTPConnectionPool):
        def _new_conn(self) -> Connection:
            return Connection(self.base_url, path, timeout)

    class Adapter(unix.UnixHTTPAdapter):
        def get_connection(self, url: str, proxies: object = None) -> Pool:
            with self.pools.lock:
                if self.pools.get(url) is None:
                    self.pools[url] = Pool(url, path, timeout, maxsize=self.max_pool_size)
                return self.pools[url]

    adapter = Adapter(path, timeout)

    class Client(docker.APIClient):
        def get_adapter(self, url: str) -> Adapter:
            return adapter

        def close(self) -> None:
            docker.APIClient.close(self)
            adapter.close()

    return Client


def status_of(error: Exception) -> tuple[int, str] | None:
    """The status and the words with which the engine refused; None for what is no refusal."""
    errors = import_module("docker.errors")
    if not isinstance(error, errors.APIError):
        return None
    refusal = cast("Any", error)
    return int(refusal.status_code or 0), str(refusal.explanation or "")


def is_trouble(error: Exception) -> bool:
    """Whether this is how an engine fails that cannot be reached."""
    errors = import_module("docker.errors")
    requests = import_module("requests.exceptions")
    return isinstance(error, (errors.DockerException, requests.RequestException, OSError, ssl.SSLError))


def labels_of(inspected: Mapping[str, Any]) -> dict[str, str]:
    """The labels of an inspected container or image."""
    configured: Any = inspected.get("Config") or {}
    labels: Any = configured.get("Labels") or {}
    return {str(key): str(value) for key, value in labels.items()}
