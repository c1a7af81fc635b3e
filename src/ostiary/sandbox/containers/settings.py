"""What the operator decides about containers. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from ostiary.sandbox.limits import MIB


class ContainerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine, which containers, and what the containers are like that are created.

    `host` is the engine's address (`unix:///…`, `tcp://…`); empty means DOCKER_HOST, then the usual sockets
    of Docker and podman. `allowed` names containers that are not ours and may be used all the same, by name
    or id. `network` is what created containers are attached to, `runtime` what runs them (`runsc` for
    gVisor; empty for the engine's usual one). A created container is removed when it has not been used for
    `ttl_s` seconds. `memory` in bytes, `cpus` in processors, `pids` in processes and threads, `each` is how
    many an owner may have at once, of one process of ours, `pull_budget_s` in seconds for one image. With
    `unsafe_writable_root` created containers run as root, can write everywhere in themselves, and have the
    capabilities that apt and apk need.
    """

    host: str = ""
    allowed: tuple[str, ...] = ()
    unsafe_any_container: bool = False
    network: str = "none"
    runtime: str = ""
    ttl_s: int = 3_600
    memory: int = 512 * MIB
    cpus: float = 1.0
    pids: int = 128
    each: int = 16
    pull: Literal["missing", "never"] = "missing"
    pull_budget_s: float = 600
    unsafe_writable_root: bool = False
