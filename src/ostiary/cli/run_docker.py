"""The options of `ostiary run docker`, and what they come to."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from ostiary.builtin import CONTAINER_TTL_S, TOOLSETS, DockerOptions
from ostiary.cli.proxy import Option
from ostiary.cli.server_command import ServerCommand
from ostiary.errors import CallerFault
from ostiary.limits import help_lines

SCHEMES: Final = ("unix", "tcp", "https")
SHORTEST_TTL_S: Final = 10
LONGEST_TTL_S: Final = 604_800
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")

_EPILOG: Final = f"""\
limits with their defaults, for --limit NAME=VALUE (which may be repeated):
{help_lines()}

examples:
  a client on stdio: containers that it creates, and nobody else's
    ostiary run docker
  commands in one container of yours, and nothing else
    ostiary run docker --toolset exec --container web
  clients over HTTP, under a policy of your own, on podman
    ostiary run docker --listen 127.0.0.1:8787 -p policy.yaml \\
      --docker-host unix:///run/podman/podman.sock

Without -p a policy that comes with it is enforced: ten runs a minute, and
everything but its own tools denied.
No argument of a call can name a path, mount, socket, device or privilege of
this machine.
Exit status: 0 when it was stopped, 2 when it could not run.
"""

_OPTIONS: Final[tuple[Option, ...]] = (
    (
        ("--toolset",),
        {
            "metavar": "NAMES",
            "default": ",".join(TOOLSETS),
            "help": "exec, scripts, or both with a comma between them (default)",
        },
    ),
    (
        ("--naming",),
        {
            "choices": ("bare", "prefixed", "both"),
            "default": "bare",
            "metavar": "NAME",
            "help": "which names of its tools are listed: bare (default), prefixed or both",
        },
    ),
    (
        ("--docker-host",),
        {
            "metavar": "URL",
            "help": "where the engine is; default: DOCKER_HOST, else the usual sockets of Docker and podman",
        },
    ),
    (
        ("--container",),
        {
            "metavar": "NAME",
            "action": "append",
            "help": "a container that it did not create and may use; may be repeated",
        },
    ),
    (
        ("--network",),
        {
            "metavar": "NAME",
            "default": "none",
            "help": "the network of created containers; default: none, so they reach nothing",
        },
    ),
    (
        ("--runtime",),
        {"metavar": "NAME", "help": "what runs created containers, such as runsc for gVisor"},
    ),
    (
        ("--container-ttl",),
        {
            "metavar": "SECONDS",
            "type": int,
            "default": CONTAINER_TTL_S,
            "help": f"remove a created container unused for so long; default {CONTAINER_TTL_S}",
        },
    ),
    (("--no-pull",), {"action": "store_true", "help": "use the images that are there; fetch none"}),
    (
        ("--work-folder",),
        {
            "metavar": "DIR",
            "type": Path,
            "help": "the folder in which `envFile` and `path` may name places; default: nowhere",
        },
    ),
    (
        ("--strict-errors",),
        {"action": "store_true", "help": "mark failures of the toolset scripts as errors, not as text only"},
    ),
    (
        ("--unsafe-any-container",),
        {"action": "store_true", "help": "every container of the engine may be used, whoever made it"},
    ),
    (
        ("--unsafe-writable-root",),
        {
            "action": "store_true",
            "help": "created containers run as root and may write everywhere in themselves",
        },
    ),
)


def _read(given: argparse.Namespace) -> DockerOptions:
    names = tuple(_name("--container", name) for name in given.container or ())
    if given.unsafe_any_container and names:
        raise CallerFault(
            "--container and --unsafe-any-container contradict each other", hint="leave one of them out"
        )
    return DockerOptions(
        toolsets=_toolsets(given.toolset),
        naming=given.naming,
        host=_host(given.docker_host),
        containers=names,
        unsafe_any_container=given.unsafe_any_container,
        network=_network(given.network),
        runtime=None if given.runtime is None else _name("--runtime", given.runtime),
        container_ttl_s=_ttl(given.container_ttl),
        pull=not given.no_pull,
        work_folder=_folder(given.work_folder),
        strict_errors=given.strict_errors,
        unsafe_writable_root=given.unsafe_writable_root,
    )


def _toolsets(text: str) -> tuple[Literal["exec", "scripts"], ...]:
    names = [name.strip() for name in text.split(",")]
    wrong = next((name for name in names if name not in TOOLSETS), None)
    if wrong is not None:
        raise CallerFault(f"--toolset: there is no toolset `{wrong[:80]}`", hint=" or ".join(TOOLSETS))
    return cast("tuple[Literal['exec', 'scripts'], ...]", tuple(one for one in TOOLSETS if one in names))


def _name(option: str, text: str) -> str:
    if not _NAME.fullmatch(text):
        raise CallerFault(
            f"{option}: `{text[:80]}` is not a name",
            hint="letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
        )
    return text


def _network(text: str) -> str:
    """A network's name. `host` and another container's network would take away the wall, not move it."""
    if text == "host" or text.startswith("container:"):
        raise CallerFault(
            f"--network: `{text[:80]}` is not offered",
            hint="it would put containers on this machine's own network; name one of the engine's",
        )
    return _name("--network", text)


def _host(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in SCHEMES or not (parts.netloc or parts.path) or "@" in parts.netloc:
        raise CallerFault(
            f"--docker-host: `{text[:200]}` is not an engine's address",
            hint="for example unix:///run/docker.sock",
        )
    return text


def _ttl(seconds: int) -> int:
    if not SHORTEST_TTL_S <= seconds <= LONGEST_TTL_S:
        raise CallerFault(
            f"--container-ttl: expected {SHORTEST_TTL_S} to {LONGEST_TTL_S} seconds, found {seconds}"
        )
    return seconds


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise CallerFault(f"--work-folder: there is no folder {path}")
    return None if path is None else path.resolve()


DOCKER: Final = ServerCommand(
    name="docker",
    description="Run commands and scripts in containers, through a gate.",
    epilog=_EPILOG,
    options=_OPTIONS,
    read=_read,
)
