"""Cores, processes and their CPU time. Linux only."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent / "build" / "benchmarks"
PROXIES = HERE.parent / ".venvs" / "proxies"
STARTS_WITHIN = 60.0
"""Seconds for a program to listen: on a busy machine the Python gateways take more than ten."""

_TICK = os.sysconf("SC_CLK_TCK")


class MissingError(Exception):
    """Something that a part of the run needs is not here; the text says what."""


def compiled(name: str) -> Path:
    """The program built from `native/NAME.c`, from the cache if its source has not changed."""
    if sys.platform != "linux":
        raise MissingError("load and upstream need Linux (epoll, /proc)")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise MissingError("no C compiler (cc, gcc or clang) for load and upstream")
    source = HERE / "native" / f"{name}.c"
    program = CACHE / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        command = [compiler, "-O2", "-o", str(fresh), str(source)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise MissingError(f"{source.name} does not compile:\n{built.stderr}")
        fresh.rename(program)
    return program


def proxy_command(name: str) -> list[str]:
    """How nginx or haproxy is started: the one of this machine, else the one that `make bench` fetched.

    Raises MissingError where there is neither.
    """
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is not None:
        return [found]
    fetched = PROXIES / "usr/sbin" / name
    if not fetched.exists():
        raise MissingError(f"{name} is not installed, and could not be fetched")
    libraries = ":".join(str(folder) for folder in (PROXIES / "usr/lib").glob("*-linux-*"))
    return ["/usr/bin/env", f"LD_LIBRARY_PATH={libraries}", str(fetched)]


def cores() -> tuple[int, int]:
    """One core for load and upstream, one for the gateways; the same where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[min(1, len(allowed) - 1)]


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Start processes on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A loopback port nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str], port: int, core: int, log: Path) -> Iterator[int]:
    """Run `command` on `core` until the block ends; yields its process id once `port` is open."""
    with log.open("wb") as output, pinned(core):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _await_port(process, port, log)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            ended = process.returncode is not None
            why = (
                f"ended with {process.returncode}"
                if ended
                else f"did not listen within {STARTS_WITHIN:.0f} s"
            )
            said = log.read_text(errors="replace").strip()
            raise MissingError(why + (f":\n{said}" if said else ""))
        time.sleep(0.02)


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, in nanosecond steps."""
    total = 0
    with contextlib.suppress(FileNotFoundError):  # a thread that ended while we look
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def resident(pid: int) -> float:
    """Resident memory of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def busy_seconds() -> float:
    """CPU time that the whole machine spent on anything, in ticks of 10 ms."""
    with Path("/proc/stat").open() as file:
        times = [int(word) for word in file.readline().split()[1:9]]
    return (sum(times) - times[3] - times[4]) / _TICK
