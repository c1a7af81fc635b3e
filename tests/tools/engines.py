"""Container engines for the tests: Docker (with gVisor) and podman, as `scripts/containers.sh` unpacked them.

Each engine is started once for a session of tests, by whichever worker asks first, and shared by all.
A keeper stands over it: `engines.py keep …`, a process that has mounts of its own (the engine's store
is a tmpfs that nobody else sees), ends when the session ends however that comes about, and takes with
it every process and group that the engine made. Nothing on the machine is changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ROOT / ".venvs" / "containers"
IMAGES = {
    "python": "test/python:host",
    "busybox": "test/busybox:1",
    "bare": "test/bare:1",
}
FOLDER = "TEST_ENGINES"
"""The environment variable by which the workers of a session know where its engines are."""

_PATIENCE_S = 60
"""An engine is up in 2 s on a machine that has nothing else to do."""


# --- what tests use -------------------------------------------------------------------------------


def begin() -> None:
    """Called by the session before its workers: settles where its engines are. Starts none."""
    folder = Path(tempfile.gettempdir()) / f"engines-{os.getpid()}-{os.urandom(4).hex()}"
    os.environ[FOLDER] = str(folder)


def end() -> None:
    """Called by the session at its end: ends every engine of it and waits for that."""
    folder = Path(os.environ.pop(FOLDER))
    for pid in folder.glob("*/keeper.pid"):
        _end(int(pid.read_text("ascii")))
    shutil.rmtree(folder, ignore_errors=True)


def engine(kind: str) -> str:
    """The address of the session's engine, `docker` or `podman`. Raises RuntimeError with its last words."""
    folder = Path(os.environ[FOLDER])
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        failed = folder / f"{kind}.failed"
        if failed.exists():
            raise RuntimeError(failed.read_text("utf-8"))
        if not (folder / kind / "keeper.pid").exists():
            try:
                Engine(folder / kind, kind, watched=int(folder.name.split("-")[1]))
            except RuntimeError as error:
                failed.write_text(str(error), encoding="utf-8")
                raise
    return f"unix://{folder / kind}/engine.sock"


@functools.cache
def gvisor() -> str:
    """The address of the session's Docker, whose runtime `runsc` works. Raises RuntimeError if not."""
    url = engine("docker")
    command = [
        str(PROGRAMS / "usr/bin/docker"),
        "-H",
        url,
        "run",
        "--rm",
        "--runtime=runsc",
        "--network=none",
    ]
    ran = subprocess.run([*command, IMAGES["busybox"], "true"], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"gVisor does not work here: {ran.stderr}")
    return url


class Engine:
    """An engine with a keeper of its own. `watched` is the process with which it ends."""

    def __init__(self, folder: Path, kind: str, *, watched: int | None = None) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.kind = kind
        self.url = f"unix://{folder}/engine.sock"
        arguments = ["keep", str(folder), kind, str(watched or os.getpid())]
        with (folder / "keeper.log").open("wb") as log:
            keeper = subprocess.Popen(
                [sys.executable, __file__, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        keeper.returncode = 0  # it outlives this process, and nobody is to wait for it or warn of that
        self.pid = keeper.pid
        assert keeper.stdout is not None
        with keeper.stdout as told:
            ready, _, _ = select.select([told], [], [], _PATIENCE_S)
            word = told.readline() if ready else b""
        if word != b"ready\n":
            _end(keeper.pid)
            logs = [path.read_text("utf-8", "replace")[-2000:] for path in sorted(folder.glob("*.log"))]
            shutil.rmtree(folder, ignore_errors=True)
            raise RuntimeError(f"{kind} did not start: " + "\n".join(logs))
        (folder / "keeper.pid").write_text(str(keeper.pid), encoding="ascii")

    def restart(self) -> None:
        """Kill the engine without a word to its containers, and start it anew. Returns at once."""
        os.kill(self.pid, signal.SIGHUP)

    def up(self) -> None:
        """Wait until it answers again."""
        command = [str(PROGRAMS / "usr/bin/docker"), "-H", self.url, "version"]
        for _ in range(_PATIENCE_S * 20):
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return
            select.select([], [], [], 0.05)
        raise RuntimeError(f"{self.kind} did not come up again")

    def close(self) -> None:
        """End it with all that it made."""
        _end(self.pid)
        shutil.rmtree(self.folder, ignore_errors=True)


def _end(pid: int) -> None:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(watch, "rb"):
        signal.pidfd_send_signal(watch, signal.SIGTERM)
        select.select([watch], [], [], _PATIENCE_S)
    with contextlib.suppress(ChildProcessError):  # another worker's
        os.waitpid(pid, 0)


# --- the keeper -----------------------------------------------------------------------------------

_NEW_MOUNTS = 0x00020000
_SUBREAPER = 36
_PRIVATE, _RECURSIVE = 1 << 18, 1 << 14
_TURNS = 20
"""How often it is looked for what has ended, at least: some of it was started by what ended before."""
_DETACH = 2


def _libc(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


class Keeper:
    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.kind = kind
        self.group = folder.parent.name.replace("engines-", "test-") + f"-{folder.name}"
        self.environ = {
            "PATH": f"{PROGRAMS}/usr/bin:{PROGRAMS}/usr/sbin:{PROGRAMS}/sbin:{os.environ.get('PATH', '')}",
            "LD_LIBRARY_PATH": ":".join(str(path) for path in sorted(PROGRAMS.glob("*/lib/*-linux-gnu")))
            + ":" + ":".join(str(path) for path in sorted(PROGRAMS.glob("lib/*-linux-gnu"))),
            "HOME": str(self.store),
        }  # fmt: skip
        self.daemon: subprocess.Popen[bytes] | None = None

    def mounts(self) -> None:
        """Mounts that go with this process: the store, and a /run in which nobody finds anything."""
        _libc("prctl", _SUBREAPER, 1, 0, 0, 0)
        _libc("unshare", _NEW_MOUNTS)
        _libc("mount", b"none", b"/", None, _PRIVATE | _RECURSIVE, None)
        self.store.mkdir()
        _libc("mount", b"tmpfs", str(self.store).encode(), b"tmpfs", 0, b"size=3g,mode=0700")
        if not str(self.folder).startswith("/run/"):
            _libc("mount", b"tmpfs", b"/run", b"tmpfs", 0, b"size=64m,mode=0755")

    def start(self) -> None:
        command = self._dockerd() if self.kind == "docker" else self._podman()
        with (self.folder / "engine.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                command, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def restart(self) -> None:
        """Kill the engine, and start it anew once what ends with it has.

        A process that nobody waits for looks alive to the next engine, and so does one that is slow to end.
        """
        assert self.daemon is not None
        own = [pid for pid, parent in _parents().items() if parent == self.daemon.pid]
        self.daemon.kill()
        self.daemon.wait()
        for turn in range(_PATIENCE_S * 50):
            _reap()
            if turn > _TURNS and not any(Path(f"/proc/{pid}").exists() for pid in own):
                break
            select.select([], [], [], 0.02)
        self.start()

    def _dockerd(self) -> list[str]:
        (self.store / "docker.pid").unlink(missing_ok=True)
        settings = {
            "data-root": f"{self.store}/data",
            "exec-root": f"{self.store}/exec",
            "pidfile": f"{self.store}/docker.pid",
            "hosts": [f"unix://{self.folder}/engine.sock"],
            "runtimes": {
                "runsc": {"path": f"{PROGRAMS}/usr/bin/runsc", "runtimeArgs": ["--network=none"]},
            },
            "cgroup-parent": f"/{self.group}",
            "log-driver": "local",
            "iptables": False,
            "ip-forward": False,
            "bridge": "none",
            "shutdown-timeout": 1,
        }
        path = self.store / "daemon.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        return ["dockerd", "--config-file", str(path)]

    def _podman(self) -> list[str]:
        configured = self.store / ".config" / "containers"
        configured.mkdir(parents=True, exist_ok=True)
        (configured / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (configured / "registries.conf").write_text("")
        (configured / "containers.conf").write_text(
            "[containers]\n"
            'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
            "[engine]\n"
            f'init_path = "{PROGRAMS}/usr/bin/tini-static"\n'
            'runtime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            f'conmon_path = ["{PROGRAMS}/usr/bin/conmon"]\n'
            f'[engine.runtimes]\nrunc = ["{PROGRAMS}/usr/sbin/runc"]\n'
        )
        (configured / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self.store}/data"\nrunroot = "{self.store}/run"\n'
        )
        self.environ |= {
            "CONTAINERS_CONF": str(configured / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(configured / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(configured / "registries.conf"),
        }
        return ["podman", "system", "service", "--time=0", f"unix://{self.folder}/engine.sock"]

    def wait(self) -> None:
        """Until the engine answers, and has its images."""
        url = f"unix://{self.folder}/engine.sock"
        client = ["docker", "-H", url] if self.kind == "docker" else ["podman"]
        probe = ["docker", "-H", url, "version"]
        while subprocess.run(probe, env=self.environ, capture_output=True, check=False).returncode:
            assert self.daemon is not None
            if self.daemon.poll() is not None:
                raise SystemExit(f"the engine ended with {self.daemon.returncode}")
            select.select([], [], [], 0.05)
        for name, tag in IMAGES.items():
            tar = str(PROGRAMS / "images" / f"{name}.tar")
            command = [*client, "import", "--change", 'CMD ["sleep", "600"]', tar, tag]
            subprocess.run(command, env=self.environ, check=True, stdout=subprocess.DEVNULL)

    def end(self) -> None:
        """Every process below this one, then the groups that they were in."""
        while below := _below(os.getpid()):
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _reap()
            select.select([], [], [], 0.005)
        for parent in Path("/sys/fs/cgroup").glob(f"**/{self.group}"):
            for path, _, _ in os.walk(parent, topdown=False):
                Path(path).rmdir()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _parents() -> dict[int, int]:
    """All processes, and whose children they are."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text("utf-8", "replace")
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return parents


def _below(ancestor: int) -> list[int]:
    """All processes that descend from one."""
    parents = _parents()
    found = {ancestor}
    grew = True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return sorted(found - {ancestor})


def keep(folder: Path, kind: str, watched: int) -> None:
    """Start an engine, say `ready`, and stand over it until the watched process or a signal ends it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    watch = os.pidfd_open(watched)
    keeper = Keeper(folder, kind)
    try:
        keeper.mounts()
        keeper.start()
        keeper.wait()
        os.write(1, b"ready\n")
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
        while watch not in (ready := select.select([told, watch], [], [])[0]):
            signals = os.read(told, 16) if told in ready else b""
            if signal.SIGTERM in signals or signal.SIGINT in signals:
                break
            if signal.SIGHUP in signals:
                keeper.restart()
    finally:
        keeper.end()
        if watch in select.select([watch], [], [], 0)[0]:  # nobody is left to take the folder away
            with contextlib.suppress(OSError):
                _libc("umount2", str(keeper.store).encode(), _DETACH)
            session = folder.parent.name.startswith("engines-")
            shutil.rmtree(folder.parent if session else folder, ignore_errors=True)


if __name__ == "__main__":
    keep(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
