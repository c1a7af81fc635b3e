"""The wheels that the CPython engine brings: numpy, pandas, httpx, requests, exactly as locked.

They are fetched by a step that somebody takes (`ostiary sandbox prepare`), never by a run.
"""

from __future__ import annotations

import hashlib
import platform
import sysconfig
from importlib.resources import files

import msgspec

from ostiary.sandbox.packages.install import Installer, Order
from ostiary.sandbox.packages.resolve import make
from ostiary.sandbox.packages.store import FORM, Store
from ostiary.sandbox.packages.target import Target
from ostiary.sandbox.packages.web import Web
from ostiary.sandbox.runner import Environment


def find_wheels(store: Store, target: Target) -> Environment | None:
    """The wheel set for this Python, or None where it was not fetched yet. Blocks a moment."""
    return store.find(_key(target, locked_wheels()))


async def prepare_wheels(store: Store, target: Target, web: Web, installer: Installer) -> Environment:
    """Fetch exactly the locked wheels, each checked by its digest, unless they are there.

    Raises:
        PackageFault: when one of them cannot be had for this Python, or is not what was locked.
        GatewayFault: as `Installer.install`.
    """
    lock = locked_wheels()
    key = _key(target, lock)
    order = Order(target=target, lock=lock)
    return store.find(key) or await make(key, order, web, installer, store)


def locked_wheels() -> str:
    """The lock: for every Python it is for, names, versions and digests."""
    return files("ostiary.sandbox.packages").joinpath("wheels.lock").read_text(encoding="utf-8")


def _key(target: Target, lock: str) -> str:
    minor = ".".join(target.python.split(".")[:2])
    parts = (FORM, lock, minor, target.platform or sysconfig.get_platform(), platform.libc_ver()[0])
    return f"wheels-{hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]}"
