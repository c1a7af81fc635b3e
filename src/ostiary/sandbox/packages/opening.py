"""Putting the parts together: where uv is, where the cache is, which index, behind which walls."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ostiary.sandbox.isolation.root import build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.packages.fault import PackageFault
from ostiary.sandbox.packages.index import Index, find_index
from ostiary.sandbox.packages.install import Installer
from ostiary.sandbox.packages.resolve import HOW, NO_RESOLVER, Packages
from ostiary.sandbox.packages.store import Store
from ostiary.sandbox.packages.target import Target
from ostiary.sandbox.packages.web import Web
from ostiary.sandbox.packages.wheels import find_wheels, prepare_wheels
from ostiary.sandbox.runner import Environment


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that packages for runs take. `installer` is None where uv is not installed."""

    store: Store
    index: Index
    targets: Mapping[str, Target]
    installer: Installer | None

    def packages(self, *, allow_index: bool = False) -> Packages:
        """What runs may import, beside what was prepared for each engine. Blocks a moment.

        The runner of an engine has to put the folder of `wheels` on the path of its runs.
        """
        found = {name: self.wheels(name) for name in self.targets}
        return Packages(
            store=self.store,
            index=self.index,
            targets=self.targets,
            installer=self.installer,
            ready={name: ready.packages for name, ready in found.items() if ready is not None},
            allow_index=allow_index,
        )

    def wheels(self, engine: str = "cpython") -> Environment | None:
        """The wheel set of this engine, or None where it was not prepared. Blocks a moment."""
        return find_wheels(self.store, self.targets[engine])

    async def prepare(self, engine: str = "cpython") -> Environment:
        """Fetch the wheel set of this engine, unless it is there. Raises as `prepare_wheels`."""
        if self.installer is None:
            raise PackageFault(NO_RESOLVER, hint=HOW)
        return await prepare_wheels(self.store, self.targets[engine], Web(self.index), self.installer)


def open_supply(
    environ: Mapping[str, str],
    walls: Walls,
    cache: Path,
    python: Path,
    *,
    others: Mapping[str, Target] | None = None,
    index_url: str | None = None,
) -> Supply:
    """The supply of this machine, for the engine `cpython` with this interpreter and for `others`.

    Builds the file system of the resolver when it is not there: some seconds, once. Raises
    CallerFault and GatewayFault as `build_root` and `find_index`.
    """
    uv = find_uv(environ)
    root = build_root(cache, python, (uv,) if uv is not None else ())
    targets = {"cpython": Target(engine="cpython", python=root.version), **(others or {})}
    return Supply(
        store=Store(cache / "packages"),
        index=find_index(environ, index_url),
        targets=targets,
        installer=Installer(walls=walls, root=root) if uv is not None else None,
    )


def find_uv(environ: Mapping[str, str]) -> Path | None:
    """Uv as this environment has it, else the one on PATH; None where there is neither."""
    beside = Path(sys.executable).parent / "uv"
    if beside.is_file():
        return beside.resolve()
    found = shutil.which("uv", path=environ.get("PATH"))
    return Path(found).resolve() if found else None
