"""From what a run asks for to a folder that holds it: cached, one resolution per key at a time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final
from weakref import WeakValueDictionary

import msgspec
from packaging.requirements import Requirement

from ostiary.errors import CallerFault
from ostiary.sandbox.packages.fault import PackageFault
from ostiary.sandbox.packages.index import Index, read_index
from ostiary.sandbox.packages.install import Installer, Order
from ostiary.sandbox.packages.requirement import merge
from ostiary.sandbox.packages.script import check_python, read_script
from ostiary.sandbox.packages.store import FORM, Store, remove
from ostiary.sandbox.packages.target import Target
from ostiary.sandbox.packages.web import Web
from ostiary.sandbox.runner import Environment

AT_ONCE: Final = 2
"""Resolutions that run at one time; each owner has at most one of them."""
_OPERATOR: Final = "operator"
NO_RESOLVER: Final = "packages cannot be fetched here: uv is not installed"
HOW: Final = "install `ostiary[packages]`, or uv itself"


class Packages:
    """What runs may import.

    `targets` are by engine; `ready` is what each engine's runs have on their path in any case, as
    `name==version`.
    `installer` is None where there is no resolver: then only what is `ready` can be had.
    `allow_index` lets a script name an index of its own, which must have a public address.
    """

    def __init__(
        self,
        *,
        store: Store,
        index: Index,
        targets: Mapping[str, Target],
        installer: Installer | None,
        ready: Mapping[str, tuple[str, ...]] | None = None,
        allow_index: bool = False,
    ) -> None:
        self._store = store
        self._index = index
        self._targets = dict(targets)
        self._installer = installer
        self._ready = dict(ready or {})
        self._allow_index = allow_index
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def resolve(self, code: str, requirements: Iterable[str], owner: str, engine: str) -> Environment:
        """What `code`, by its script block, and `requirements` ask for, in a folder for `engine`.

        No folder when nothing is asked for, or only what the engine has ready. `owner` is on whose
        behalf.

        Raises:
            PackageFault: when what is asked for cannot be read, is refused or cannot be had. The
                code must then not be started.
            GatewayFault: when the resolver cannot be started or the cache cannot be written.
        """
        target = self._targets.get(engine)
        if target is None:
            raise PackageFault(f"there are no packages for the engine `{engine}`")
        script = read_script(code, allow_index=self._allow_index)
        check_python(script.requires_python, target.python)
        wanted = merge(script.dependencies, requirements)
        ready = _ready_for(self._ready.get(engine, ()), wanted, target)
        if not script.index_url and ready is not None:
            return Environment(packages=ready)
        index = self._index_for(script.index_url)
        theirs = owner if script.index_url else _OPERATOR
        key = key_of(wanted, target, index, theirs)
        found = await asyncio.to_thread(self._store.find, key)
        return found or await self._make(key, Order(target=target, requirements=wanted), index, owner)

    async def _make(self, key: str, order: Order, index: Index, owner: str) -> Environment:
        if self._installer is None:
            raise PackageFault(NO_RESOLVER, hint=HOW)
        async with self._lock("key", key):
            found = await asyncio.to_thread(self._store.find, key)  # made while this one waited
            if found is not None:
                return found
            async with self._lock("owner", owner), self._slots:
                return await make(key, order, Web(index), self._installer, self._store)

    def _index_for(self, url: str) -> Index:
        if not url:
            return self._index
        try:
            return read_index(url, certificates=self._index.certificates, private=False)
        except CallerFault as error:
            raise PackageFault(f"[tool.uv]: {error.message}", hint=error.hint) from None

    def _lock(self, kind: str, name: str) -> asyncio.Lock:
        """One lock for each name, for as long as somebody holds or awaits it."""
        return self._locks.setdefault((kind, name), asyncio.Lock())


async def make(key: str, order: Order, web: Web, installer: Installer, store: Store) -> Environment:
    """Install what is ordered and keep it under `key`. Raises as `Installer.install` and `Store.keep`."""
    draft = await asyncio.to_thread(store.draft)
    try:
        installed = await installer.install(order, web, draft)
        await asyncio.to_thread(remove, installed.parent / "cache")
        installed.mkdir(exist_ok=True)  # every requirement was for another Python or platform
        return await asyncio.to_thread(store.keep, key, installed)
    finally:
        await asyncio.to_thread(remove, draft)


def key_of(wanted: tuple[str, ...], target: Target, index: Index, owner: str) -> str:
    """The name of what these requirements come to, for this Python, from this index, for this owner.

    Two users of an index may see different packages of one name there, so the user is part of it;
    the password is not, so that the name tells nothing of it.
    """
    parts = (FORM, sorted(wanted), target, index.url, index.folders, index.user, owner)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:40]


def _ready_for(ready: tuple[str, ...], wanted: tuple[str, ...], target: Target) -> tuple[str, ...] | None:
    """Which of the ready packages are wanted; None when something else is wanted, too."""
    held = {package.partition("==")[0]: package for package in ready}
    minor = ".".join(target.python.split(".")[:2])
    marked = {"python_version": minor, "python_full_version": target.python}
    found: set[str] = set()
    for text in wanted:
        one = Requirement(text)
        if one.marker is not None and not one.marker.evaluate(marked):
            continue
        package = held.get(one.name, "")
        version = package.partition("==")[2]
        if not version or one.extras or not one.specifier.contains(version, prereleases=True):
            return None
        found.add(package)
    return tuple(sorted(found))
