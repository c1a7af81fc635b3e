"""From fork to ready: namespaces, mounts, rights given up, an init, and the process for the code.

Everything here happens before the child reads its first job.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from ostiary.sandbox.cpython.inside import frames
from ostiary.sandbox.isolation import confine

ENDED: Final = struct.Struct("!iqq")
"""The last word of an init: the wait status of the code's process, microseconds of CPU, kB of memory."""

PACKAGES: Final = "/packages"
DEPENDENCIES: Final = "/deps"

_FAILED = 71
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SUBREAPER = 1, 4, 36
_BIND = 4096
_WRITABLE = ("/tmp", "/work", "/dev/shm", "/dev/null", "/dev/full", "/proc/self")  # noqa: S108 - its own
_libc = ctypes.CDLL(None, use_errno=True)

Serve = Callable[[socket.socket, dict[str, Any]], NoReturn]
"""What becomes of the process for the code: it has the job socket, and what the host said of the child."""


def spawn(descriptors: list[int], settings: dict[str, Any]) -> int:
    """Fork, into namespaces of its own where there are walls; 0 in the child.

    A fork that fails is told on the status line, and nothing comes of it.
    """
    try:
        if not settings["walled"]:
            return os.fork()
        return confine.fork_into_namespaces(network=settings["network"])
    except OSError as error:
        with socket.socket(fileno=os.dup(descriptors[1])) as status:
            status.send(f"fork: {error.strerror}".encode())
        return -1


def live(descriptors: list[int], settings: dict[str, Any], serve: Serve) -> NoReturn:
    """Be the child that `descriptors` belong to. Never returns to the loop of the zygote."""
    status = socket.socket(fileno=descriptors[1])
    try:
        _live(descriptors, status, settings, serve)
    except OSError as error:
        status.send(f"{error.filename or 'set-up'}: {error.strerror or error}"[:200].encode())
    finally:  # whatever was raised: this copy of the zygote must not go on as one
        os._exit(_FAILED)


def _live(descriptors: list[int], status: socket.socket, settings: dict[str, Any], serve: Serve) -> None:
    channel = socket.socket(fileno=descriptors[0])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    prepared = frames.receive(channel)
    if prepared is None:
        return
    wanted, _ = prepared
    # Where memory is short it is the child that has to go, and not the interpreter it came from.
    Path("/proc/self/oom_score_adj").write_text("500")
    _streams(descriptors[2:])
    port = settings.get("port", 0)
    if settings["walled"]:
        _wall(wanted["package"], settings)
    else:
        _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    _greet(status, port)
    confine.keep_to_itself()  # the code must not look into its init, nor take the status socket
    coder = os.fork()
    if coder:
        channel.close()
        _init(coder, status, settings)
    status.close()
    _libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0)
    os.setsid()
    _own_chance()
    os.environ.update(wanted["environment"])
    for path, text in wanted.get("texts", {}).items():
        Path(path).write_text(text, encoding="utf-8")
    _filter(settings)
    serve(channel, wanted)


def _greet(status: socket.socket, port: int) -> None:
    """Say hello: the kernel tells the host which process this is.

    With a `port` the host is given what listens there, in a network that has nothing else. All that
    code can connect to is therefore the host's own program, and no other run's.
    """
    if not port:
        status.send(b"hello")
        return
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        socket.send_fds(status, [b"hello"], [listener.fileno()])


def _streams(descriptors: list[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate([nothing, *descriptors]):
        os.dup2(descriptor, number, inheritable=True)
        os.close(descriptor)


def _wall(package: str, settings: dict[str, Any]) -> None:
    """Put walls up around this process, the first of its namespaces, and give up every right."""
    confine.mount_private(settings["tmp_bytes"], settings["keep"])
    if package:
        told = _libc.mount(f"{PACKAGES}/{package}".encode(), DEPENDENCIES.encode(), None, _BIND, None)
        if told:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), DEPENDENCIES)
    hidden = [PACKAGES] if package else [PACKAGES, DEPENDENCIES]
    confine.hide([path for path in hidden if Path(path).is_dir()])
    port = settings.get("port", 0)
    if port:
        confine.raise_loopback()
    confine.drop_capabilities()
    writable = [path for path in (*_WRITABLE, *settings["writable"]) if Path(path).exists()]
    confine.restrict_files(readable=["/"], writable=writable, network=settings["network"] or bool(port))


def _filter(settings: dict[str, Any]) -> None:
    if settings["filter"]:
        confine.load_filter(bytes.fromhex(settings["filter"]))


def _own_chance() -> None:
    """Random numbers of its own: the zygote's state is the same in all its children."""
    random.seed()
    numbers: Any = sys.modules.get("numpy.random")
    if numbers is not None:
        numbers.seed()


def _init(coder: int, status: socket.socket, settings: dict[str, Any]) -> NoReturn:
    """Reap until the code's process ends, tell how it did, and end with all that is left of it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)
    _filter(settings)
    while True:
        pid, how, used = os.wait4(-1, 0)
        if pid == coder:
            break
    microseconds = int((used.ru_utime + used.ru_stime) * 1_000_000)
    status.send(ENDED.pack(how, microseconds, used.ru_maxrss))
    if not settings["walled"]:
        _end_children()
    os._exit(0)


def _end_children() -> None:
    """Without a process namespace nobody else ends what the code left running."""
    me = os.getpid()
    while True:
        children = [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]
        if not children:
            return
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
