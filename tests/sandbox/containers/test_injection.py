"""What callers give is data: names, commands, environments, users and packages of every hostile kind."""

from __future__ import annotations

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.containers.found import Found
from ostiary.sandbox.containers.names import (
    check_command,
    check_image,
    check_name,
    check_new_name,
    check_packages,
)
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.containers.times import moment
from ostiary.sandbox.containers.walls import SLEEPERS, Image, container
from ostiary.sandbox.request import Command
from tests.sandbox.containers.world import World

pytestmark = pytest.mark.timeout(120)

NAMES = [
    "", "-it", "--privileged", "a b", "a;b", "a/b", "../x", "a\n", "a\0b", "$(x)", "`x`", "a:b", "é",
    "a" * 256, "?all=1", "a%2fb", "#", ".a", "_a",
]  # fmt: skip
IMAGES = [
    "", "-v", "--privileged", "a b", "a;b", "/etc", "../x", "a\n", "a\0", "a:", "a@", "a@sha256:12",
    "a//b", "http://x/y", "a:b:c", "x" * 513, "a:-t", "file:///etc/passwd", "a$(b)",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_a_container_is_refused_before_the_engine_hears_of_it(name: str) -> None:
    with pytest.raises(CallerFault, match="cannot be the name of a container"):
        check_name(name)


@pytest.mark.parametrize("name", ["web", "0123456789ab", "f" * 64])
def test_a_new_container_cannot_have_the_name_of_another_one(name: str) -> None:
    with pytest.raises(CallerFault, match=r"that the operator allows|looks like the id"):
        check_new_name(name, ("web",))
    for other in ("web2", "0123456789a", "0123456789ag", "g" * 64):
        assert check_new_name(other, ("web",)) == other


@pytest.mark.parametrize("image", IMAGES)
def test_what_cannot_be_an_image_is_refused(image: str) -> None:
    with pytest.raises(CallerFault, match="cannot be the name of an image"):
        check_image(image)


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        ("python", "python:latest"),
        ("python:3.12-slim", "python:3.12-slim"),
        ("registry.example:5000/team/name", "registry.example:5000/team/name:latest"),
        ("name@sha256:" + "0" * 64, "name@sha256:" + "0" * 64),
    ],
)
def test_images_are_named_with_their_tag(image: str, whole: str) -> None:
    assert check_image(image) == whole


@pytest.mark.parametrize(
    "wrong",
    [
        {"argv": ()}, {"argv": ("-x",)}, {"argv": ("",)}, {"argv": ("a\0b",)}, {"argv": ("echo", "\0")},
        {"argv": ("echo", "\ud800")}, {"argv": ("echo",) * 1_001}, {"argv": ("echo", "x" * 65_537)},
        {"argv": ("echo", *("x" * 60_000,) * 20)},
        {"argv": ("id",), "env": ("FOO",)}, {"argv": ("id",), "env": ("=x",)},
        {"argv": ("id",), "env": ("-e=x",)}, {"argv": ("id",), "env": ("A=\0",)},
        {"argv": ("id",), "workdir": "tmp"}, {"argv": ("id",), "workdir": "-w"},
        {"argv": ("id",), "workdir": "/a\0"}, {"argv": ("id",), "workdir": "/" * 4_097},
        {"argv": ("id",), "user": "-u"}, {"argv": ("id",), "user": "a b"}, {"argv": ("id",), "user": "a:b:c"},
        {"argv": ("id",), "user": "root\n"}, {"argv": ("id",), "user": "x" * 80},
    ],
)  # fmt: skip
def test_commands_that_no_program_can_be_started_with_are_refused(wrong: dict) -> None:
    with pytest.raises(CallerFault):
        check_command(Command(container="c", **wrong))


@pytest.mark.parametrize(
    ("manager", "package"),
    [
        (manager, package)
        for manager in ("pip", "npm", "apt-get", "apk")
        for package in (
            "", "-r", "--index-url=x", "x; touch /pwn", "x y", "$(x)", "x|y", "../x", "/etc/passwd",
            "x\n", "x\0", "git+https://x/y", "https://x/y.tgz", "x@https://y/z",
        )
    ],
)  # fmt: skip
def test_packages_are_names_and_nothing_else(manager, package: str) -> None:
    with pytest.raises(CallerFault):
        check_packages(manager, ("fine", package))


@pytest.mark.parametrize(
    ("manager", "packages"),
    [
        ("pip", ("requests>=2", "pandas[excel]==2.2.*")),
        ("npm", ("left-pad", "@types/node@20", "x@^1.2.3")),
        ("apt-get", ("libc6-dev", "g++", "curl=7.88.1-10+deb12u5")),
        ("apk", ("py3-pip", "curl=8.5.0-r0", "x>1")),
    ],
)
def test_packages_with_versions_are_accepted(manager, packages: tuple[str, ...]) -> None:
    assert len(check_packages(manager, packages)) == len(packages)


@pytest.mark.parametrize("text", ["", "-1", "now; x", "1e9", "10", "9" * 70, "2026-13-01", "5m&tail=all"])
def test_times_are_read_or_refused(text: str) -> None:
    if text == "10":
        assert moment(text, 100.0) == "10"
        return
    with pytest.raises(CallerFault):
        moment(text, 100.0)


def test_ago_is_counted_from_now() -> None:
    assert moment("1m30s", 1_000.0) == "910.000000"
    assert moment("2026-01-01T00:00:00Z", 0.0) == moment("2026-01-01T00:00:00", 0.0)


def test_a_request_for_a_container_holds_nothing_of_the_callers_but_the_image() -> None:
    image = Image("-v/:/host", volumes=("/data", "/x:/y", "/", "/a,exec"))
    made = container(ContainerSettings(), image, SLEEPERS[0], {})

    assert made["Image"] == "-v/:/host"
    text = repr({key: value for key, value in made.items() if key != "Image"})
    assert "host'" not in text
    host = made["HostConfig"]
    assert sorted(host["Tmpfs"]) == ["/data", "/tmp", "/work"]
    assert not {"Binds", "Mounts", "Devices", "PidMode", "UsernsMode", "VolumesFrom"} & set(host)
    assert (host["CapAdd"], host["Privileged"]) == ([], False)


def test_long_arguments_arrive_whole(any_engine: World, box: Found) -> None:
    argv = [character * 60_000 for character in "abcdefgh"]

    record = any_engine.run(box, "python3", "-c", "import sys; print([len(a) for a in sys.argv[1:]])", *argv)

    assert record.stdout.whole == f"{[60_000] * 8}\n"


def test_hostile_commands_through_the_engine_are_answered_and_leave_it_working(
    any_engine: World, box: Found
) -> None:
    for argv in (("-x",), ("a\0",), ("echo", "\ud800")):
        record = any_engine.run(box, *argv)
        assert record.error is not None
        assert record.error.type == "CallerFault"
    for name in ("a\nb", "..", "x" * 200):
        assert any_engine.run(box, name).exit_code in (126, 127)
    assert any_engine.run(box, "echo", "still here").stdout.whole == "still here\n"
