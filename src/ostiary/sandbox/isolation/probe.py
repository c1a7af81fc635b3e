"""What this machine offers for isolation, tried and not guessed."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ostiary.errors import OstiaryError
from ostiary.sandbox.isolation.bubblewrap import ENVIRONMENT
from ostiary.sandbox.isolation.cache import blocked, cache_folder, make_folder
from ostiary.sandbox.isolation.cells import uid_range
from ostiary.sandbox.isolation.cgroups import Place, find_place
from ostiary.sandbox.isolation.seccomp import build_filter
from ostiary.sandbox.isolation.syscalls import AUDIT

_TIMEOUT: Final = 10
_SET_SECCOMP, _FILTER_MODE = 22, 2
_SETTINGS: Final = Path("/proc/sys")
_NAMESPACES: Final = "user namespaces"


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that isolation may rest on. `why` says why it was not found, `remedy` what brings it.

    `loss` says what is lost without it.
    """

    name: str
    found: bool
    path: str = ""
    version: str = ""
    why: str = ""
    remedy: str = ""
    loss: str = ""

    def sentence(self) -> str:
        """For a report, which the code's author reads: what is missing and what that means."""
        return f"no {self.name}: {self.loss}"


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """The layers of this machine, for this user."""

    bubblewrap: Layer
    namespaces: Layer
    seccomp: Layer
    cgroups: Layer
    landlock: Layer
    place: Place
    uids: range | None = None
    node: Layer
    deno: Layer
    uv: Layer

    def needed(self) -> tuple[Layer, ...]:
        """What strict isolation cannot do without."""
        return (self.bubblewrap, self.namespaces, self.seccomp)

    def lacking(self) -> tuple[Layer, ...]:
        """Of these, what is not here."""
        return tuple(layer for layer in self.needed() if not layer.found)

    def layers(self) -> tuple[Layer, ...]:
        """All that isolation may rest on, the indispensable first."""
        return (*self.needed(), self.cgroups, self.landlock)

    def told(self) -> dict[str, Any]:
        """The same as data, for `sandbox://status`."""
        return {"layers": [{"name": one.name, "found": one.found, "why": one.why} for one in self.layers()]}

    def programs(self) -> tuple[Layer, ...]:
        """What some engines need beside them."""
        return (self.node, self.deno, self.uv)

    def weaker(self) -> tuple[Layer, ...]:
        """What is not here and makes strict isolation weaker, or a run able to do less."""
        return tuple(layer for layer in (self.cgroups, self.landlock) if not layer.found)


def probe(environ: Mapping[str, str]) -> Probed:
    """Try every layer as the user that workers would be. Takes a few dozen milliseconds.

    Raises CallerFault when a setting in `environ` cannot be used.
    """
    uids = uid_range(environ)
    place = find_place()
    bubblewrap = _bubblewrap(environ, uids)
    namespaces, seccomp = _tried(bubblewrap, uids)
    return Probed(
        bubblewrap=bubblewrap,
        namespaces=namespaces,
        seccomp=seccomp,
        cgroups=_cgroups(place),
        landlock=_landlock(),
        place=place,
        uids=uids,
        node=_program("node", environ, "nodejs"),
        deno=_program("deno", environ, ""),
        uv=_program("uv", environ, ""),
    )


def _bubblewrap(environ: Mapping[str, str], uids: range | None) -> Layer:
    lacking = {
        "name": "bubblewrap",
        "found": False,
        "remedy": "apt-get install bubblewrap",
        "loss": "code sees the files of the host",
    }
    found = shutil.which("bwrap", path=environ.get("PATH", os.defpath))
    if found is None:
        return msgspec.convert(lacking | {"why": "no program `bwrap` on PATH"}, Layer)
    path = Path(found).resolve()
    try:
        if uids is not None and blocked(path) is not None:
            path = _reachable_copy(path, cache_folder(environ))
    except (OSError, OstiaryError) as error:
        return msgspec.convert(lacking | {"why": f"workers cannot reach {found}: {error}"}, Layer)
    told = _run([str(path), "--version"], None)
    version = re.search(r"\d+(\.\d+)+", told.stdout) if told is not None else None
    if version is None:
        return msgspec.convert(lacking | {"why": f"{path} does not run"}, Layer)
    return Layer(name="bubblewrap", found=True, path=str(path), version=version[0])


def _reachable_copy(path: Path, cache: Path) -> Path:
    """A copy that workers' users can start; made anew when the original changed."""
    state = path.stat()
    target = cache / "programs" / f"bwrap-{state.st_size}-{state.st_mtime_ns}"
    if not target.exists():
        make_folder(target.parent)
        draft = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(path, draft)
        draft.chmod(0o555)
        draft.replace(target)
    closed = blocked(target)
    if closed is not None:
        raise PermissionError(f"{closed} is closed to other users")
    return target


def _tried(bubblewrap: Layer, uids: range | None) -> tuple[Layer, Layer]:
    """Namespaces and seccomp, by starting a box in a box, and a box under a filter."""
    uid = uids[-1] if uids is not None else None
    if not bubblewrap.found:
        return _no_namespaces("not tried without bubblewrap", ""), _seccomp_by_asking()
    box = [
        bubblewrap.path,
        "--unshare-all",
        "--die-with-parent",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--",
    ]
    told = _run([*box, *box, bubblewrap.path, "--version"], uid)
    if told is None or told.returncode:
        return _no_namespaces(*_why_no_namespaces(told.stderr if told else "")), _seccomp_by_asking()
    namespaces = Layer(name=_NAMESPACES, found=True)
    try:
        program = build_filter(arch=os.uname().machine, processes=True, sockets="none")
    except ValueError as error:
        return namespaces, _no_seccomp(str(error))
    descriptor = os.memfd_create("filter")
    try:
        os.write(descriptor, program)
        os.lseek(descriptor, 0, os.SEEK_SET)
        filtered = [*box[:-1], "--seccomp", str(descriptor), "--", bubblewrap.path, "--version"]
        told = _run(filtered, uid, descriptor)
    finally:
        os.close(descriptor)
    if told is None or told.returncode:
        return namespaces, _no_seccomp(told.stderr.strip() if told else "a box under a filter does not start")
    return namespaces, Layer(name="seccomp", found=True)


def _seccomp_by_asking() -> Layer:
    """Where no box can be started: whether the kernel says that it has filters, and we a table."""
    libc = ctypes.CDLL(None, use_errno=True)
    architecture = os.uname().machine
    if architecture not in AUDIT:
        return _no_seccomp(f"no table of system calls for {architecture}")
    mode: int = libc.prctl(_SET_SECCOMP, _FILTER_MODE, None, 0, 0)
    if mode == -1 and ctypes.get_errno() == errno.EFAULT:  # it would read a filter, had it been given one
        return Layer(name="seccomp", found=True)
    return _no_seccomp("the kernel does not offer it")


def _no_namespaces(why: str, remedy: str) -> Layer:
    loss = "code sees the files, processes and network of the host"
    return Layer(name=_NAMESPACES, found=False, why=why, remedy=remedy, loss=loss)


def _no_seccomp(why: str) -> Layer:
    return Layer(
        name="seccomp",
        found=False,
        why=why,
        remedy="use a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64",
        loss="code may make every system call of the kernel",
    )


_SWITCHES: Final = (
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap",
    ),
)


def _why_no_namespaces(said: str) -> tuple[str, str]:
    for name, off, remedy in _SWITCHES:
        try:
            value = (_SETTINGS / name).read_text().strip()
        except OSError:
            continue
        if value == off:
            return f"{name.replace('/', '.')} is {off}", remedy
    last = said.strip().splitlines()[-1:] or ["bubblewrap cannot start a box in a box"]
    remedy = "in a container: allow unshare and mount (for Docker --security-opt seccomp=unconfined)"
    return last[0].removeprefix("bwrap: "), remedy


def _cgroups(place: Place) -> Layer:
    if not place.why_not:
        return Layer(name="cgroups", found=True, version="2" if place.unified else "1")
    return Layer(
        name="cgroups",
        found=False,
        why=place.why_not,
        remedy=place.remedy,
        loss="new processes and memfd are refused, and memory is bounded for each process alone",
    )


def _landlock() -> Layer:
    """The version that landlock_create_ruleset tells when it is asked for nothing else."""
    libc = ctypes.CDLL(None, use_errno=True)
    abi: int = libc.syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if abi >= 1:
        return Layer(name="landlock", found=True, version=str(abi))
    return Layer(
        name="landlock",
        found=False,
        why="the kernel does not offer it",
        remedy="Linux 5.13 or newer, with `landlock` in its lsm= list",
        loss="files are guarded by the mounts alone",
    )


def _program(name: str, environ: Mapping[str, str], package: str) -> Layer:
    found = shutil.which(name, path=environ.get("PATH", os.defpath))
    remedy = f"apt-get install {package}" if package else f"put `{name}` on PATH"
    if found is None:
        return Layer(name=name, found=False, why=f"no program `{name}` on PATH", remedy=remedy)
    return Layer(name=name, found=True, path=found)


def _run(argv: list[str], uid: int | None, *pass_fds: int) -> subprocess.CompletedProcess[str] | None:
    who: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
    try:
        return subprocess.run(  # noqa: S603 - bubblewrap, found above
            argv,
            env=dict(ENVIRONMENT),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            pass_fds=pass_fds,
            cwd="/",
            check=False,
            **who,
        )
    except (OSError, subprocess.SubprocessError):
        return None
