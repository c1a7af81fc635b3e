"""The host that attempts are made on: things to read, to reach and to harm, each with its own secret."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ostiary.sandbox.cpython.protocol import is_clean
from ostiary.sandbox.isolation.root import Root
from ostiary.sandbox.limits import MIB
from ostiary.sandbox.record import RunRecord

WAIT_S = 5
SOON_S = 0.5
"""For what must not happen: nothing tells that it will not, so that this is waited for each time."""
MOST = 6 * MIB
"""More bytes than a reply may come to, however it is asked for: two streams, a value twice, a fault."""

VICTIM = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
whole = sys.stdin.buffer.readline().strip()
secret, _, key = whole.partition(b" ")
add, link = (248, 250) if os.uname().machine == "x86_64" else (217, 219)
libc.syscall(add, b"user", b"ostiary-victim", key, len(key), -4)
print("ready", flush=True)
signal.pause()
"""


class Victim:
    """A process of the host that runs under the same user as the code: as unlucky as can be."""

    def __init__(self, root: Root, uid: int | None, folder: Path, secret: dict[str, str]) -> None:
        own = Path(tempfile.mkdtemp(dir=folder))
        (own / "note").write_text(secret["folder of a process"])
        with tempfile.TemporaryFile() as held:
            held.write(secret["open file of a process"].encode())
            held.flush()
            if uid is not None:
                os.chown(own, uid, uid)
                os.fchown(held.fileno(), uid, uid)
            own.chmod(0o700)
            who: dict[str, Any] = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
            self.process = subprocess.Popen(
                [root.path + root.python, "-I", "-S", "-c", VICTIM, secret["command line of a process"]],
                env={"LD_LIBRARY_PATH": f"{root.path}/lib", "TOKEN": secret["environment of a process"]},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(held.fileno(),),
                cwd=own,
                **who,
            )
            self.held = held.fileno()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{secret['memory of a process']} {secret['key of a user']}\n".encode())
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"ready\n"

    @property
    def state(self) -> str:
        """`running`, `stopped` or `ended`."""
        try:
            status = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return "ended"
        letter = status.rpartition(")")[2].split()[0]
        return {"T": "stopped", "t": "stopped", "Z": "ended", "X": "ended"}.get(letter, "running")

    def becomes(self, state: str, within_s: float) -> bool:
        """Whether it comes to that soon: a signal takes its time."""
        deadline = time.monotonic() + within_s
        while self.state != state and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.state == state

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


SECRETS = (
    "file", "shared file", "root's file", "abstract socket", "socket file", "tcp", "tcp6", "udp",
    "environment of a process", "memory of a process", "key of a user",
    "folder of a process", "open file of a process", "command line of a process", "planted",
)  # fmt: skip


class World:
    """Everything that attempts aim at. `folder` can be entered, and `open` below it written, by anybody."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.secret = {name: secrets.token_hex(16) for name in SECRETS}
        self.folder = Path(tempfile.mkdtemp(prefix="escapes-"))
        self.folder.chmod(0o755)
        self.open = self.folder / "open"
        self.open.mkdir()
        self.open.chmod(0o777)
        self.file = self._written("secret", "file", 0o644)
        self.shared = self._written("shared", "shared file", 0o666)
        self.roots = self._written("roots", "root's file", 0o400)
        self.program = self.folder / "cat"
        shutil.copy("/bin/cat", self.program)
        self.program.chmod(0o4755)
        self.abstract = f"escapes-{secrets.token_hex(8)}"
        self._ends: list[socket.socket] = []
        self.ports: dict[str, int] = {}
        self._listen()
        self.victims: dict[int | None, Victim] = {}
        self.left = f"escapes-{secrets.token_hex(16)}"

    def _written(self, name: str, secret: str, mode: int) -> Path:
        path = self.folder / name
        path.write_text(self.secret[secret])
        path.chmod(mode)
        return path

    def _listen(self) -> None:
        for name, family, address in (
            ("tcp", socket.AF_INET, ("127.0.0.1", 0)),
            ("tcp6", socket.AF_INET6, ("::1", 0)),
            ("abstract socket", socket.AF_UNIX, f"\0{self.abstract}"),
            ("socket file", socket.AF_UNIX, str(self.folder / "socket")),
        ):
            end = socket.socket(family, socket.SOCK_STREAM)
            end.bind(address)
            end.listen(16)
            self._serve(end, name, self._greet)
        (self.folder / "socket").chmod(0o777)
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end.bind(("127.0.0.1", 0))
        self._serve(end, "udp", self._echo)

    def _serve(self, end: socket.socket, name: str, work: Callable[[socket.socket, bytes], None]) -> None:
        self._ends.append(end)
        if end.family != socket.AF_UNIX:
            self.ports[name] = end.getsockname()[1]
        threading.Thread(target=work, args=(end, self.secret[name].encode()), daemon=True).start()

    @staticmethod
    def _greet(end: socket.socket, secret: bytes) -> None:
        """Tell the secret to everybody who comes."""
        with contextlib.suppress(OSError):
            while True:
                peer, _ = end.accept()
                with peer, contextlib.suppress(OSError):
                    peer.sendall(secret)

    @staticmethod
    def _echo(end: socket.socket, secret: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                _, sender = end.recvfrom(64)
                if not sender:
                    return  # closed
                end.sendto(secret, sender)

    def victim(self, root: Root, uid: int | None) -> Victim:
        """A living process of this user."""
        found = self.victims.get(uid)
        if found is None or found.state != "running":
            if found is not None:
                found.close()
            found = self.victims[uid] = Victim(root, uid, self.folder, self.secret)
        return found

    def facts(self, victim: Victim | None) -> dict[str, Any]:
        """What an insider would know: the attempts' `host`."""
        return {
            "gate": os.getpid(),
            "victim": victim.process.pid if victim else 0,
            "held": victim.held if victim else -1,
            "folder": str(self.folder),
            "open": str(self.open),
            "file": str(self.file),
            "shared": str(self.shared),
            "roots": str(self.roots),
            "program": str(self.program),
            "cache": str(self.cache),
            "abstract": self.abstract,
            "socket": str(self.folder / "socket"),
            "name": os.uname().nodename,
            "left": self.left,
            **self.ports,
        }

    def happened(
        self, sign: str, prize: str, record: RunRecord, victim: Victim, *, within_s: float = SOON_S
    ) -> bool:
        """Whether an attempt succeeded: seen from outside, or by what it could not otherwise say."""
        kind, _, name = sign.partition(" ")
        match kind:
            case "prize":
                return prize in everything(record)
            case "secret":
                return self.secret[name] in everything(record)
            case "written":
                return any(prize in path.read_text() for path in self._left())
            case "victim":
                return victim.becomes(name, within_s)
            case "flood":
                return len(everything(record)) > MOST
            case "forged":
                return not _plain(record)
            case "survivor":
                return any(_lives(path) for path in self._left())
        raise AssertionError(f"no such sign: {sign}")

    def _left(self) -> Iterator[Path]:
        return (path for path in self.open.iterdir() if path.is_file())

    def tidy(self) -> None:
        """Take away what an attempt left, processes too."""
        for path in self.open.iterdir():
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(path.read_text()), signal.SIGKILL)
            path.unlink()
        for folder in ("/tmp", "/dev/shm"):
            Path(folder, self.left).unlink(missing_ok=True)
        for victim in self.victims.values():
            if victim.state == "stopped":
                victim.close()

    def close(self) -> None:
        for victim in self.victims.values():
            victim.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        shutil.rmtree(self.folder)


def everything(record: RunRecord) -> str:
    """All that came back of a run, as text."""
    text = msgspec.json.encode(record.summary()).decode()
    files = "".join(one.name + one.content.decode("latin-1") for one in record.artifacts)
    return text + record.stdout.whole + record.stderr.whole + files


def _plain(record: RunRecord) -> bool:
    """Whether it is the record of this run, and names artifacts that stay where they are put."""
    names = [one.name for one in record.artifacts]
    clean = all(is_clean(name) for name in names) and len(names) <= record.limits.artifacts
    return (
        clean
        and record.owner == "ana"
        and record.isolation.level == "strict"
        and record.run_id != "run_forged"
    )


def _lives(path: Path) -> bool:
    try:
        os.kill(int(path.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True
