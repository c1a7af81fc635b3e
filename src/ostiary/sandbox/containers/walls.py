"""What a container is like that we create: the walls around it, as the engine's API has them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from ostiary.sandbox.containers.profile import profile
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.limits import MIB

Json = dict[str, Any]

LIFETIME_S: Final = 86_400
"""A container ends by itself after this time, also when nobody is left to remove it."""
WORK: Final = "/work"
"""The folder that can be written to; packages that are installed without root go there."""
PACKAGES: Final = f"{WORK}/.ostiary-packages"

NOBODY: Final = "65534:65534"
_ROOT_CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID", "SYS_CHROOT")
_USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TMP_SHARE, _WORK_SHARE = 4, 2
_OPEN_FILES = 1_024
_PROCESSES = 32_768
"""Of one user on the whole machine, as the kernel counts it; `pids` bounds each container."""

SLEEPERS: Final[tuple[tuple[str, ...], ...]] = (
    ("sleep", str(LIFETIME_S)),
    ("python3", "-c", f"import time; time.sleep({LIFETIME_S})"),
    ("python", "-c", f"import time; time.sleep({LIFETIME_S})"),
)
"""What a container does while it waits for commands: the first of these that it has."""


def probe(sleeper: Sequence[str]) -> tuple[str, ...]:
    """A command that shows whether the program of a sleeper is there."""
    return (sleeper[0], "0") if len(sleeper) == 2 else (*sleeper[:-1], "pass")  # noqa: PLR2004 - `sleep` and its time


_SENTRY_THREADS = 32
"""gVisor takes threads of the machine for each process inside, and ends when it gets none."""


class Image(NamedTuple):
    """What is taken of an image: its name, the folders that it would have as volumes, its search path."""

    name: str
    volumes: tuple[str, ...] = ()
    path: str = _USUAL_PATH


def container(
    settings: ContainerSettings,
    image: Image,
    sleeper: Sequence[str],
    labels: Mapping[str, str],
    *,
    seccomp: str = "",
    podman: bool = False,
) -> Json:
    """The whole request for a container. Nothing in it but the image's name comes from a caller.

    The volumes that the image declares become small folders in memory.
    `seccomp` names the filter where the engine wants a file; empty: it is sent along. `podman` says that
    the engine gives a folder in memory the mode that it is told, and no owner.
    """
    root = settings.unsafe_writable_root
    return {
        "Image": image.name,
        "Entrypoint": list(sleeper),
        "Cmd": [],
        "User": "0:0" if root else NOBODY,
        "WorkingDir": WORK,
        "Env": [
            f"PATH={image.path}:{PACKAGES}/bin",
            f"HOME={'/root' if root else WORK}",
            f"PYTHONUSERBASE={PACKAGES}",
            f"PYTHONPATH={PACKAGES}/site",
            f"NPM_CONFIG_PREFIX={PACKAGES}",
            "PYTHONDONTWRITEBYTECODE=1",
        ],
        "Labels": dict(labels),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host(settings, seccomp, _folders(settings, image.volumes, podman=podman)),
    }


def _host(settings: ContainerSettings, seccomp: str, folders: Mapping[str, str]) -> Json:
    writable_root = settings.unsafe_writable_root
    limits: Json = {
        "Memory": settings.memory,
        "MemorySwap": settings.memory,  # the two together: no swap
        "NanoCpus": int(settings.cpus * 1_000_000_000),
        "PidsLimit": settings.pids * (_SENTRY_THREADS if "runsc" in settings.runtime else 1),
        "Ulimits": [
            {"Name": "nofile", "Soft": _OPEN_FILES, "Hard": _OPEN_FILES},
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nproc", "Soft": _PROCESSES, "Hard": _PROCESSES},
        ],
    }
    filtered = seccomp or json.dumps(profile(root=writable_root), separators=(",", ":"))
    return limits | {
        "NetworkMode": settings.network,
        "CapDrop": ["ALL"],
        "CapAdd": list(_ROOT_CAPABILITIES) if writable_root else [],
        "SecurityOpt": ["no-new-privileges", f"seccomp={filtered}"],
        "ReadonlyRootfs": not writable_root,
        "Tmpfs": dict(folders),
        "Privileged": False,
        "Init": True,
        "AutoRemove": True,
        "IpcMode": "private",
        "Runtime": settings.runtime,
    }


def _folders(settings: ContainerSettings, volumes: Sequence[str], *, podman: bool) -> dict[str, str]:
    """Folders in memory, which counts as the container's; each bounded."""
    usual = "rw,nosuid,nodev,exec,mode=1777"
    small = f"{usual},size={max(MIB, settings.memory // _TMP_SHARE)}"
    folders = {path: small for path in volumes if _plain(path)}
    folders["/tmp"] = small  # noqa: S108 - in the container
    if not settings.unsafe_writable_root:
        # Docker gives it the mode of the folder that it covers, whose owner is root.
        user, _, group = NOBODY.partition(":")
        owner = "" if podman else f",uid={user},gid={group}"
        folders[WORK] = f"{usual},size={max(MIB, settings.memory // _WORK_SHARE)}{owner}"
    return folders


def _plain(path: str) -> bool:
    """Whether it is a path that cannot be taken for anything else, nor hide what a container needs."""
    return path.startswith("/") and not any(mark in path for mark in (":", ",", "..", "\0")) and path != "/"


def usual_runtime(runtime: object, default: str) -> Literal[True, False]:
    """Whether processes of such a container are processes of the machine (and not of a kernel of its own)."""
    name = str(runtime or default)
    name = default if name in ("", "oci") else name
    return name in ("runc", "crun", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux")
