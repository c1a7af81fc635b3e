"""An installed server behind walls: what it sees of this machine, and the ways out that it was given.

It sees the programs and libraries that are installed for everybody, what its own command leads to, and
empty folders to write in. See docs/explanation/scanning.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ostiary.errors import GatewayFault
from ostiary.proxy.stdio.child import Launch, Started
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.watchdog import Watchdog
from ostiary.sandbox.egress import relay
from ostiary.sandbox.isolation.box import Bind, Box
from ostiary.sandbox.isolation.cache import blocked
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.isolation.root import Root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.limits import MIB
from ostiary.scan.grounds import SYSTEM, hidden_in
from ostiary.scan.installed import Installed
from ostiary.scan.scanned import Network

MEMORY: Final = 1_024 * MIB
TASKS: Final = 256
_FILES: Final = 128 * MIB
_HOME: Final = "/work"
_IN: Final = "/.ostiary"
_ETC: Final = (
    "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "mime.types",
    "protocols", "services", "ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "pki/tls/certs",
    "pki/tls/cert.pem", "pki/ca-trust/extracted", "ca-certificates/extracted", "crypto-policies", "fonts",
)  # fmt: skip
_NAMES: Final = {
    "passwd": "sandbox:x:65534:65534:sandbox:/work:/nonexistent\n",
    "group": "sandbox:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_PROXY: Final = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


class Walled:
    """One server behind `walls`. `folder` is an empty one of its own that every user can reach.

    `python` is what a relay runs on, where `network` is `hosts`: then a proxy listens at `socket`, in
    a folder that nobody but the server is shown.
    `cell` is what was taken, to be given back when nothing is asked any more.
    """

    def __init__(
        self,
        walls: Walls,
        installed: Installed,
        environment: Mapping[str, str],
        network: Network,
        folder: Path,
        python: Root | None = None,
    ) -> None:
        self.cell: Cell | None = None
        self.socket = folder / "in" / "out"
        self._walls = walls
        self._installed = installed
        self._environment = environment
        self._network = network
        self._folder = folder
        self._python = python
        self._staged = 0
        _lay_out(folder, network)

    @property
    def user(self) -> int:
        """The user that it runs as, on this machine. Raises GatewayFault where there is none to be had."""
        return self._taken().uid or os.geteuid()

    def _taken(self) -> Cell:
        """Where it runs, bounded: the same each time that it is started."""
        if self.cell is None:
            self.cell = self._walls.cells.take()
            if self.cell.group is not None:
                self.cell.group.set(memory=MEMORY, processes=TASKS)
        return self.cell

    def launcher(self, stderr: int) -> Launch:
        """What starts it, as often as it is asked to."""

        def launch(_command: Command, _watchdog: Watchdog) -> Started:
            box = self.box(self._taken())
            its_input, our_input = os.pipe()
            our_output, its_output = os.pipe()
            try:
                process = self._walls.start(
                    box, stdin=its_input, stdout=its_output, stderr=stderr, apart=True
                )
            except BaseException:
                os.close(our_input)
                os.close(our_output)
                raise
            finally:
                os.close(its_input)
                os.close(its_output)
            os.set_blocking(our_input, False)
            os.set_blocking(our_output, False)
            return Started(process, our_input, our_output)

        return launch

    def box(self, cell: Cell) -> Box:
        """The server with what it is shown. Raises GatewayFault for what cannot be shown to its user."""
        command = self._installed.command
        if self._network == "hosts":
            command = (*self._relay(), *command)
        return Box(
            command=command,
            root=Root(str(self._folder / "root"), "", "", ""),
            binds=tuple(self._binds(cell)),
            environment=self._variables(),
            tmp_bytes=_FILES,
            seccomp=self._walls.filter(processes=True, sockets="loopback"),
            cell=cell,
            network=self._network == "all",
            file_bytes=_FILES,
            folder=self._installed.folder or _HOME,
        )

    def _binds(self, cell: Cell) -> list[Bind]:
        """In order: what lies within another comes after it."""
        empty = str(self._folder / "empty")
        binds = [Bind(one, one) for one in SYSTEM if Path(one).is_dir() and not Path(one).is_symlink()]
        binds += [Bind(f"/etc/{name}", f"/etc/{name}") for name in _ETC if Path(f"/etc/{name}").exists()]
        binds += [Bind(str(one), f"/etc/{one.name}") for one in sorted((self._folder / "etc").iterdir())]
        for shown in self._installed.shown:
            binds.append(self._reachable(shown, cell))
            for hidden in hidden_in(Path(shown)) if Path(shown).is_dir() else ():
                binds.append(Bind(empty if hidden.is_dir() else f"{empty}.txt", str(hidden)))
        binds += [Bind(empty, one) for one in self._installed.emptied]
        if self._network == "hosts" and self._python is not None:
            binds.append(Bind(str(self._folder / "in"), _IN))
            binds += [Bind(f"{self._python.path}/{name}", f"{_IN}/{name}") for name in ("python", "lib")]
        return binds

    def _reachable(self, shown: str, cell: Cell) -> Bind:
        """`shown` for the user of the cell, by way of a place that it can reach where that is needed."""
        if not cell.uid or blocked(Path(shown).parent) is None:
            return Bind(shown, shown)
        self._staged += 1
        place = self._folder / "stage" / str(self._staged)
        if Path(shown).is_dir():
            place.mkdir()
        else:
            place.touch()
        return Bind(os.path.realpath(shown), shown, stage=str(place))

    def _variables(self) -> dict[str, str]:
        """What the configuration gives, where programs are found, and a home: nothing of ours."""
        path = [*self._installed.path, "/usr/local/bin", "/usr/bin", "/bin"]
        made = {"PATH": ":".join(path), "LANG": "C.UTF-8", "HOME": _HOME, **self._environment}
        made["HOME"] = _HOME
        if self._network == "hosts":
            made |= dict.fromkeys(_PROXY, "http://{relay}")
            made |= {"NODE_USE_ENV_PROXY": "1", "NO_PROXY": "localhost,127.0.0.1"}
        return made

    def _relay(self) -> tuple[str, ...]:
        """What lets the allow-list be reached from inside: our own interpreter with our own libraries."""
        python = self._python
        if python is None:
            raise GatewayFault("there is no interpreter for the way out")
        loaders = sorted(Path(python.path, "lib").glob("ld-*"))
        by = (f"{_IN}/lib/{loaders[0].name}", "--library-path", f"{_IN}/lib") if loaders else ()
        return (*by, _IN + python.python, "-I", f"{_IN}/relay.py", f"{_IN}/{self.socket.name}", "--")


def _lay_out(folder: Path, network: Network) -> None:
    """The few files that are made for it, and the links of the top folder."""
    for name in ("root", "etc", "empty", "stage", "in", "in/python", "in/lib"):
        (folder / name).mkdir()
    (folder / "empty.txt").touch()
    for name, text in _NAMES.items():
        (folder / "etc" / name).write_text(text)
    names = Path("/etc/resolv.conf")  # often a link to where no server may look
    if network == "all" and names.is_file():
        (folder / "etc" / "resolv.conf").write_bytes(names.read_bytes())
    (folder / "in" / "relay.py").write_bytes(Path(relay.__file__).read_bytes())
    for one in map(Path, SYSTEM):
        if one.is_symlink():
            (folder / "root" / one.name).symlink_to(one.readlink())
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
