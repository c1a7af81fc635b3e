"""How each server that comes with Ostiary was asked to be. Read once from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

from ostiary.errors import CallerFault


@dataclass(frozen=True, slots=True)
class PythonOptions:
    """How the built-in Python server runs code.

    `isolation` is `none` only by `--unsafe-no-isolation`. `cache_dir` None means the usual place.
    `preload` names modules that are imported once, before the first run.
    """

    name: ClassVar[str] = "python"

    engine: Literal["cpython", "pyodide"] = "cpython"
    isolation: Literal["strict", "best-effort", "none"] = "strict"
    naming: Literal["bare", "prefixed", "both"] = "bare"
    cache_dir: str | None = None
    preload: tuple[str, ...] = ()

    def describe(self) -> str:
        """What stands behind the gate, for a person."""
        return f"the built-in Python server ({self.engine})"

    def unsafe(self) -> tuple[str, ...]:
        """What weakens it, for the banner and the records."""
        if self.isolation != "none":
            return ()
        return ("--unsafe-no-isolation: code runs with all that this process may do",)


TOOLSETS: Final = ("exec", "scripts")
CONTAINER_TTL_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class DockerOptions:
    """How the built-in containers' server works.

    `host` None means DOCKER_HOST or the usual sockets. `containers` names those that it did not create
    and may use. `container_ttl_s` is how long, in seconds, a created container lives unused. `work_folder`
    None means that no argument may name a file. `strict_errors` marks failures of the toolset `scripts`
    as errors, which the original never does.
    """

    name: ClassVar[str] = "docker"

    toolsets: tuple[Literal["exec", "scripts"], ...] = TOOLSETS
    naming: Literal["bare", "prefixed", "both"] = "bare"
    host: str | None = None
    containers: tuple[str, ...] = ()
    unsafe_any_container: bool = False
    network: str = "none"
    runtime: str | None = None
    container_ttl_s: int = CONTAINER_TTL_S
    pull: bool = True
    work_folder: Path | None = None
    strict_errors: bool = False
    unsafe_writable_root: bool = False

    def describe(self) -> str:
        """What stands behind the gate, for a person."""
        return f"the built-in containers' server ({', '.join(self.toolsets)})"

    def unsafe(self) -> tuple[str, ...]:
        """What weakens it, for the banner and the records."""
        told: list[str] = []
        if self.unsafe_any_container:
            told.append("--unsafe-any-container: every container of the engine can be used and read")
        if self.unsafe_writable_root:
            told.append(
                "--unsafe-writable-root: created containers run as root and write everywhere in themselves"
            )
        return tuple(told)


@dataclass(frozen=True, slots=True)
class DjangoOptions:
    """How the built-in Django server was asked to be.

    `settings` is the settings module, `project` the folder that holds manage.py, `python` the
    interpreter that has the project's packages (empty: our own). `environment` names variables of ours
    that the project gets. `djangopackages` is the site that may be asked about packages; empty for none.
    `isolation` is `none` only by `--unsafe-no-isolation`.
    """

    name: ClassVar[str] = "django"

    settings: str
    project: str
    python: str = ""
    pythonpath: tuple[str, ...] = ()
    state: Literal["session", "fresh"] = "session"
    mode: Literal["", "read-only", "rollback"] = ""
    environment: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    network: bool = False
    isolation: Literal["strict", "best-effort", "none"] = "strict"
    naming: Literal["bare", "prefixed", "both"] = "bare"
    extended: bool = False
    timeout_ms: int = 30_000
    djangopackages: str = ""
    cache_dir: str | None = None

    def describe(self) -> str:
        """What stands behind the gate, for a person."""
        mode = f", {self.mode}" if self.mode else ""
        return f"the built-in Django server ({self.settings}{mode})"

    def unsafe(self) -> tuple[str, ...]:
        """What weakens it, for the banner and the records."""
        if self.isolation != "none":
            return ()
        return ("--unsafe-no-isolation: code runs with all that this process may do",)


@dataclass(frozen=True, slots=True)
class CodeOptions:
    """How the built-in server for code that calls tools works. `servers` is the file that names them.

    `secrets` is a file of secrets that code may use. `allow_hosts` can be reached by code that runs in
    CPython; of these and the hosts of secrets, `unsafe_private_hosts` may have private addresses.
    `hosts_ca` is trusted beside the system's authorities to speak for them.
    `unsafe_private_servers` lets clients ask for servers inside one's own network.
    """

    name: ClassVar[str] = "code"

    servers: Path
    isolation: Literal["strict", "best-effort", "none"] = "strict"
    cache_dir: str | None = None
    secrets: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    hosts_ca: Path | None = None
    unsafe_private_hosts: tuple[str, ...] = ()
    unsafe_private_servers: bool = False

    def describe(self) -> str:
        """What stands behind the gate, for a person."""
        return f"the built-in server for code that calls tools (servers of {self.servers.name})"

    def unsafe(self) -> tuple[str, ...]:
        """What weakens it, for the banner and the records."""
        told = [
            f"--unsafe-private-host {host}: it may have an address of a private network or of this machine"
            for host in self.unsafe_private_hosts
        ]
        if self.unsafe_private_servers:
            told.append("--unsafe-private-servers: requested servers may be inside this network")
        if self.isolation == "none":
            told.append("--unsafe-no-isolation: code runs with all that this process may do")
        return tuple(told)


Builtin = PythonOptions | DockerOptions | DjangoOptions | CodeOptions
"""How a server that comes with Ostiary was asked to be. Each has a `name`, `describe` and `unsafe`."""

BUILTIN = "builtin:"


USUAL_BUILTINS: Final[Mapping[str, Builtin]] = {
    "python": PythonOptions(),
    "docker": DockerOptions(),
}
"""The servers that need no option."""


def parse_builtin(text: str) -> Builtin:
    """Read `builtin:python`, which names a server that comes with Ostiary. Raises CallerFault."""
    found = USUAL_BUILTINS.get(text.removeprefix(BUILTIN))
    if found is None:
        raise CallerFault(
            f"--upstream: there is no built-in server `{text.removeprefix(BUILTIN)[:80]}`",
            hint=" or ".join(f"builtin:{name}" for name in USUAL_BUILTINS)
            + "; their options are those of `ostiary run`",
        )
    return found
