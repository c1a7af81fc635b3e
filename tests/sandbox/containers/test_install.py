"""Packages for containers: fetched outside and put in, or by a manager inside, or refused at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.faults import InstallRefused, NoManager, NotRunning
from ostiary.sandbox.containers.found import Found
from ostiary.sandbox.containers.install import Installer, target_of
from ostiary.sandbox.packages.target import Target
from ostiary.sandbox.runner import Environment
from tests.sandbox.containers.world import World

pytestmark = pytest.mark.timeout(120)


def installer(there: World, fetch) -> Installer:
    return Installer(there.containers.client, there.containers.settings, fetch)


def put(there: World, box: Found, fetch, *packages: str):
    async def scene():
        _, inspected = await there.containers._look("ana", box.name)
        return await installer(there, fetch).install("ana", box, inspected, packages, there.told.append)

    return there.do(scene())


@pytest.mark.parametrize(
    "told",
    [
        "", "3.12.1", "--help x86_64 gnu", "3.12.1 --x gnu", "3.12.1 x86_64 gnu more", "3.12.1 ../.. gnu",
        "9.9.9 x86_64 gnu", "3.12 x86_64 gnu", "3.12.1 x86_64 gnu-x", "3." + "1" * 9_999 + ".1 x86_64 gnu",
        "3.1\u0662.1 x86_64 gnu",
    ],
)  # fmt: skip
def test_a_python_that_a_container_makes_up_is_resolved_for_nobody(told: str) -> None:
    assert target_of(told) is None


def test_a_python_is_known_by_what_it_says() -> None:
    for version in ("3.12.1", "3.6.9", "3.15.0rc1"):
        found = Target(engine="container", python=version, platform="x86_64-unknown-linux-gnu")
        assert target_of(f"{version} x86_64 gnu\n") == found
    assert target_of("3.13.0+ aarch64 musl\n") is not None


def test_packages_that_were_fetched_outside_can_be_imported(
    any_engine: World, box: Found, tmp_path: Path
) -> None:
    (tmp_path / "thing" / "deep").mkdir(parents=True)
    (tmp_path / "thing" / "__init__.py").write_text("NAME = 'thing'\n")
    (tmp_path / "thing" / "deep" / "data.bin").write_bytes(bytes(range(256)) * 5_000)
    (tmp_path / "link").symlink_to("/etc/passwd")
    asked: list[tuple[str, tuple[str, ...], Target]] = []

    async def fetch(owner: str, requirements: tuple[str, ...], target: Target) -> Environment:
        asked.append((owner, requirements, target))
        return Environment(folder=str(tmp_path), packages=("thing==1",))

    done = put(any_engine, box, fetch, "Thing>=1")

    assert (done.manager, done.packages, done.exit_code, done.stderr) == ("pip", ("thing==1",), 0, "")
    ((owner, requirements, target),) = asked
    platform = f"{os.uname().machine}-unknown-linux-gnu"
    assert (owner, requirements, target.platform) == ("ana", ("thing>=1",), platform)
    code = """
import os, thing
print(thing.NAME, os.path.getsize(os.path.join(os.path.dirname(thing.__file__), "deep", "data.bin")))
"""
    assert any_engine.run(box, "python3", "-c", code).stdout.whole == "thing 1280000\n"
    assert any_engine.script(box, code).stdout.whole == "thing 1280000\n"


def test_without_a_network_and_without_a_way_around_it_it_is_refused(docker: World, crate: Found) -> None:
    with pytest.raises(InstallRefused, match="pip needs a network"):
        put(docker, crate, None, "requests")


def test_a_read_only_root_has_no_packages_of_a_distribution(docker: World, crate: Found) -> None:
    made = installer(docker, None)

    for manager in ("apt-get", "apk"):
        with pytest.raises(InstallRefused, match="read-only"):
            made._refuse(manager, network=True)


def test_a_container_without_a_manager_is_told_from_one_that_is_stopped(docker: World) -> None:
    box = docker.create("busybox")

    with pytest.raises(NoManager):
        put(docker, box, None, "x")
    with pytest.raises(NotRunning):
        put(docker, Found(id=box.id, name=box.name, image="x", running=False, ours=True), None, "x")


@pytest.mark.parametrize("package", ["--index-url=x", "x; touch /pwn", "git+https://x/y"])
def test_hostile_packages_are_refused_before_anything_runs(docker: World, crate: Found, package: str) -> None:
    async def fetch(*_: object) -> Environment:
        raise AssertionError("nothing is fetched")

    with pytest.raises(CallerFault):
        put(docker, crate, fetch, package)


def test_containers_pass_their_way_of_fetching_on(docker: World) -> None:
    assert Containers.__init__.__kwdefaults__ == {"fetch": None}
