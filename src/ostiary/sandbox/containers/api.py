"""The part of the engine's API that is used, as the docker SDK has it."""

from __future__ import annotations

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
    def stop(self, container: str, timeout: int) -> None: ...
    def kill(self, container: str) -> None: ...
    def wait(self, container: str, timeout: int, condition: str) -> Json: ...
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
    return cast("Api", docker.APIClient(base_url=url, version="auto", timeout=timeout, tls=tls))


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
