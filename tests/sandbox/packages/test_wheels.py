"""The wheel set, and the registry that this machine is set up for."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.sandbox.packages.fault import PackageFault
from ostiary.sandbox.packages.index import find_index
from ostiary.sandbox.packages.opening import Supply
from ostiary.sandbox.packages.target import wasm_target
from ostiary.sandbox.packages.wheels import find_wheels, locked_wheels
from ostiary.sandbox.runner import Environment
from tests.needs import missing
from tests.sandbox.packages.world import open_test_supply, run, shelf, wheel

SERVICE_S = 55


@pytest.fixture
def cache() -> Iterator[Path]:
    """A folder that every user can pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def needs_index() -> None:
    """The index of this machine's own tools, reached."""
    place = find_index(os.environ).place
    try:
        socket.create_connection((place.host, place.port), timeout=5).close()
    except OSError:
        missing("the package index that pip or uv is set up for cannot be reached")


def imported(folder: str | None, code: str) -> str:
    program = f"import sys; sys.path.append({folder!r})\n{code}"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_locked_wheel_has_a_digest_and_no_host() -> None:
    text = locked_wheels()

    pinned = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
    assert {"numpy", "pandas", "httpx", "requests"} <= set(pinned)
    assert len(pinned) == len(
        re.findall(r"^[a-z0-9][^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    )
    assert "://" not in text


def test_a_wheel_that_is_not_what_was_locked_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = f"plain==1.0 --hash=sha256:{'0' * 64}\n"
    monkeypatch.setattr("ostiary.sandbox.packages.wheels.locked_wheels", lambda: lock)

    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            supply = open_test_supply(cache, "strict", index.url)
            with pytest.raises(PackageFault) as fault:
                await supply.prepare()
            assert "hash" in fault.value.output.lower()
            assert find_wheels(supply.store, supply.targets["cpython"]) is None

    run(main)


def test_what_was_prepared_is_ready_for_runs(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    lock = f"plain==1.0 --hash=sha256:{hashlib.sha256(wheel('plain')).hexdigest()}\n"
    monkeypatch.setattr("ostiary.sandbox.packages.wheels.locked_wheels", lambda: lock)

    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            supply = open_test_supply(cache, "strict", index.url)
            made = await supply.prepare()
            came = len(index.asked)

            assert await supply.prepare() == made
            assert supply.wheels() == made
            packages = supply.packages()
            had = await packages.resolve("", ["plain>=1"], "ann", "cpython")
            assert had == Environment(None, made.packages)
            assert await packages.resolve("", [], "ann", "cpython") == Environment()
            assert len(index.asked) == came

    run(main)


def test_a_wheel_for_webassembly_is_found_by_its_tag(cache: Path) -> None:
    tag = "cp314-cp314-pyemscripten_2026_0_wasm32"
    target = wasm_target("pyodide", "3.14.2", ("pyemscripten_2026_0_wasm32",))

    async def main() -> None:
        async with shelf() as index:
            index.add(f"native-1.0-{tag}.whl", wheel("native", {"which.txt": b"wasm"}, tag=tag))
            index.add("native-1.0-cp314-cp314-linux_x86_64.whl", wheel("native", {"which.txt": b"linux"}))
            supply = open_test_supply(cache, "none", index.url)
            packages = Supply(
                store=supply.store,
                index=supply.index,
                targets={"pyodide": target},
                installer=supply.installer,
            ).packages()
            wanted = ["native; sys_platform == 'emscripten'", "absent; sys_platform == 'linux'"]
            found = await packages.resolve("", wanted, "ann", "pyodide")
            assert (Path(found.folder or "") / "which.txt").read_bytes() == b"wasm"

    run(main)


@pytest.mark.service
def test_a_pure_and_a_native_package_come_from_the_index_of_this_machine(cache: Path) -> None:
    needs_index()

    async def main() -> None:
        packages = open_test_supply(cache, "strict", None).packages()
        found = await packages.resolve("", ["humanize", "msgpack"], "ann", "cpython")
        code = "import humanize, msgpack._cmsgpack; print(humanize.intcomma(msgpack.unpackb(b'\\x40')))"
        assert imported(found.folder, code) == "64"

        before = asyncio.get_running_loop().time()
        assert await packages.resolve("", ["msgpack", "humanize"], "ann", "cpython") == found
        assert asyncio.get_running_loop().time() - before < 1

    run(main, SERVICE_S)


@pytest.mark.service
def test_a_package_that_does_not_exist_is_told_by_name(cache: Path) -> None:
    needs_index()

    async def main() -> None:
        packages = open_test_supply(cache, "strict", None).packages()
        with pytest.raises(PackageFault) as fault:
            await packages.resolve("", ["humanize==0.0.9999"], "ann", "cpython")
        assert "humanize==0.0.9999" in fault.value.output

    run(main, SERVICE_S)
