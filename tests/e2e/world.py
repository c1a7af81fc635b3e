"""The processes of an end-to-end test: published servers, and gates in front of them."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.e2e.driver import FOREIGN, Http, Sse, Stdio
from tests.needs import ROOT, needs_environment, needs_npm_program, needs_program

OSTIARY = [str(Path(sys.executable).parent / "ostiary")]
ALLOW_ALL = ROOT / "examples/allow-all.json"
FIRST_PORT = 10_000
"""Below it are ports that services of this machine may have."""

GIT_ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}


def everything() -> list[str]:
    return needs_npm_program("mcp-server-everything")


def filesystem(folder: Path) -> list[str]:
    return [*needs_npm_program("mcp-server-filesystem"), str(folder)]


def memory() -> list[str]:
    return needs_npm_program("mcp-server-memory")


def published(name: str, *arguments: str) -> list[str]:
    """A server of the `servers` environment: git, time or fetch."""
    return [str(needs_environment("servers", f"mcp-server-{name}")), *arguments]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without anything that configures the gate."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | (dict(more) if more else {})


def wait_for(what: str, ready: Callable[[], bool], within: float = 5.0) -> None:
    """Poll until `ready`; fails the test after `within` seconds."""
    deadline = time.monotonic() + within
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not happen within {within} s"
        time.sleep(0.02)


class Clock:
    """Seconds, without those in which one of these processes was ready and the machine ran others.

    For what has to happen within a time: nothing is quicker than the processor that it is given.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = pids

    def now(self) -> float:
        return time.monotonic() - sum(map(held_up, self._pids))


def held_up(pid: int) -> float:
    """For how many seconds the main thread of a process has waited for a processor, as far as is known."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except FileNotFoundError:
        return 0.0


def state_folder(folder: Path) -> Path:
    """A new state folder that only its owner can read."""
    made = folder / "state"
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made


def proxy(policy: Path | None, state: Path, *options: str, upstream: str | Sequence[str]) -> list[str]:
    """The command line of a gate in front of a URL or a command."""
    chosen = ["-p", str(policy)] if policy else []
    target = ["--upstream", upstream] if isinstance(upstream, str) else ["--", *upstream]
    return [*OSTIARY, "proxy", *chosen, "--state-dir", str(state), *options, *target]


def ostiary(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    """Run another command of the gate to its end."""
    return subprocess.run(
        [*OSTIARY, *arguments, "--state-dir", str(state)],
        capture_output=True,
        text=True,
        timeout=20,
        env=environment(),
        check=False,
    )


class Process:
    """A process whose standard error is collected in a file."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment(env)
            )

    def told(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Stop the process and return its exit status."""
        if not self.ended():
            self.process.send_signal(signum)
        try:
            return self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Gate(Process):
    """A gate that listens on a free port of loopback; clients connect to `http`."""

    def __init__(
        self,
        policy: Path | None,
        folder: Path,
        *options: str,
        upstream: str | Sequence[str],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.state = state_folder(folder)
        command = proxy(policy, self.state, "--listen", "127.0.0.1:0", *options, upstream=upstream)
        super().__init__(command, folder / "gate.log", env)
        wait_for("the gate's banner", lambda: self.ended() or "Ctrl-C" in self.told(), 15)
        found = re.search(r"URL +(https?://127\.0\.0\.1:(\d+)/mcp)", self.told())
        assert found, self.told()
        self.port = int(found[2])
        token = self.state / "token"
        self.http = Http(found[1], token.read_text().strip() if token.exists() else "")
        self.sse = Sse(found[1].removesuffix("/mcp") + "/sse", self.http.token)


class HttpServer(Process):
    """A published server in HTTP mode, on a port that was free a moment ago."""

    def __init__(self, command: Sequence[str], log: Path, env: Callable[[int], Mapping[str, str]]) -> None:
        for _ in range(5):
            self.port = free_port()
            super().__init__(
                [part.replace("{port}", str(self.port)) for part in command], log, env(self.port)
            )
            wait_for("the server's port", lambda: self.ended() or accepts(self.port), 20)
            if not self.ended():
                return
        raise AssertionError(self.told())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def sse(self) -> str:
        """Where a server of HTTP+SSE has its streams."""
        return f"http://127.0.0.1:{self.port}/sse"


def everything_over_http(log: Path) -> HttpServer:
    return HttpServer([*everything(), "streamableHttp"], log, lambda port: {"PORT": str(port)})


def everything_over_sse(log: Path) -> HttpServer:
    """The same over HTTP+SSE; its streams are at `sse`."""
    return HttpServer([*everything(), "sse"], log, lambda port: {"PORT": str(port)})


MODERN = [sys.executable, str(Path(__file__).parent / "modern_server.py")]
"""The small server of `modern_server.py`, which speaks both eras."""


def modern_over_http(log: Path) -> HttpServer:
    return HttpServer([*MODERN, "{port}"], log, lambda _: {})


def free_port() -> int:
    """One below those that the kernel hands out, so that nobody else is given it until it is used."""
    handed_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    room = handed_out - FIRST_PORT  # not every machine leaves some
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", FIRST_PORT + secrets.randbelow(room) if room > 0 else 0))
            return probe.getsockname()[1]


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def direct(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> Stdio:
    """A stdio server as a client starts it without a gate."""
    return Stdio(command, folder / "direct.log", env or {})


def gated(
    policy: Path | None,
    folder: Path,
    *options: str,
    upstream: str | Sequence[str],
    env: Mapping[str, str] | None = None,
) -> Stdio:
    """A gate as a stdio client starts it."""
    command = proxy(policy, state_folder(folder), *options, upstream=upstream)
    return Stdio(command, folder / "gate.log", env or {})


def _git(repository: Path, *arguments: str) -> None:
    subprocess.run(
        [str(needs_program("git")), *arguments],
        cwd=repository,
        env=environment(GIT_ENVIRONMENT),
        check=True,
        capture_output=True,
    )


def commit_all(repository: Path, message: str) -> None:
    """One more commit, of everything that is there."""
    _git(repository, "add", "-A")
    _git(repository, "commit", "-q", "-m", message)


def make_repository(folder: Path) -> Path:
    """A git repository with two commits, one staged and one unstaged change."""
    repository = folder / "repository"
    repository.mkdir()
    run = partial(_git, repository)
    run("init", "-q", "-b", "main")
    for number, content in enumerate(("one\n", "one\ntwo\n")):
        (repository / "a.txt").write_text(content)
        run("add", "a.txt")
        run("commit", "-q", "-m", f"commit {number}")
    (repository / "b.txt").write_text("staged\n")
    run("add", "b.txt")
    (repository / "a.txt").write_text("one\ntwo\nthree\n")
    return repository


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid: int) -> list[int]:
    """All processes below `pid`."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            below.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    open_pids = [pid]
    while open_pids:
        for child in below.get(open_pids.pop(), []):
            found.append(child)
            open_pids.append(child)
    return found


def command_of(pid: int) -> str:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def read_line(stream: int, within: float = 20.0) -> bytes:
    """One line from a pipe, byte by byte, so that nothing of the next is taken.

    Before the first one a gate and the server behind it have to start.
    """
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([stream], [], [], within)
        assert ready, f"no line within {within} s; so far {line!r}"
        byte = os.read(stream, 1)
        if not byte:
            return line
        line += byte
    return line
