"""What names of containers, images and packages look like, and what is refused in commands. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final, Literal

from packaging.requirements import Requirement

from ostiary.errors import CallerFault
from ostiary.sandbox.packages.requirement import read_requirement
from ostiary.sandbox.request import Command

MAX_NAME: Final = 255
MAX_IMAGE: Final = 512
MAX_PACKAGES: Final = 64
MAX_ARGUMENTS: Final = 1_000
MAX_ARGUMENT: Final = 65_536
"""Bytes of one argument or environment item; the kernel's own bound is twice that."""
MAX_COMMAND: Final = 1 << 20
"""Bytes of all arguments and of the environment."""

Manager = Literal["npm", "pip", "apt-get", "apk"]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_ID = re.compile(r"[0-9a-f]{12,64}")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_IMAGE = re.compile(rf"(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*(?::{_TAG})?(?:@{_DIGEST})?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?")
_VERSION = r"[A-Za-z0-9][A-Za-z0-9.+~:_-]{0,127}"
_NPM = re.compile(r"(?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*(?:@[\^~]?[A-Za-z0-9][A-Za-z0-9.+-]*)?")
_APT = re.compile(rf"[a-z0-9][a-z0-9.+-]+(?::[a-z0-9]+)?(?:={_VERSION})?")
_APK = re.compile(rf"[a-z0-9][a-z0-9._+-]*(?:[<>~=]{{1,2}}{_VERSION})?")
_SHOWN = 80


def check_name(name: str) -> str:
    """The name or id of a container as it is. Raises CallerFault."""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise CallerFault(
            f"{name[:_SHOWN]!r} cannot be the name of a container",
            hint="a name begins with a letter or a digit and goes on with letters, digits, `_`, `.` and `-`",
        )
    return name


def check_new_name(name: str, kept: Collection[str]) -> str:
    """The name for a new container as it is: none of those `kept` for others, nothing like an id.

    An engine takes a name for an id that it is the beginning of, so such a container would stand in the
    place of another one. Raises CallerFault.
    """
    check_name(name)
    if name in kept:
        raise CallerFault(
            f"{name!r} is the name of a container that the operator allows", hint="choose another name"
        )
    if _ID.fullmatch(name):
        raise CallerFault(f"{name!r} looks like the id of a container", hint="choose another name")
    return name


def check_image(image: str) -> str:
    """An image reference, with the tag `latest` where it names neither tag nor digest. Raises CallerFault."""
    if len(image) > MAX_IMAGE or not _IMAGE.fullmatch(image):
        raise CallerFault(
            f"{image[:_SHOWN]!r} cannot be the name of an image",
            hint="an image is named like `python:3.12-slim` or `registry.example:5000/team/name@sha256:…`",
        )
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


def check_command(command: Command) -> None:
    """Refuse what no program can be started with, or what the engine would take for something else.

    Raises CallerFault: no program, one that begins with `-`, NUL anywhere, an environment item
    without `=` or without a name, a working folder that is not absolute, a user that cannot be one.
    """
    if not command.argv and not command.script:
        raise CallerFault("there is no command", hint="give the program and its arguments as a list")
    if command.argv and not command.script:
        if command.argv[0].startswith("-"):
            raise CallerFault(f"the program {command.argv[0][:_SHOWN]!r} begins with `-`")
        if not command.argv[0]:
            raise CallerFault("the name of the program is empty")
    _check_texts("argument", command.argv)
    _check_texts("environment item", command.env)
    for item in command.env:
        if "=" not in item[1:] or item.startswith("-"):
            raise CallerFault(
                f"environment item {item.partition('=')[0][:_SHOWN]!r} has no value",
                hint="write `NAME=VALUE`",
            )
    if command.workdir and (not command.workdir.startswith("/") or len(command.workdir) > 4_096):  # noqa: PLR2004 - PATH_MAX
        raise CallerFault("the working folder is not an absolute path in the container")
    _check_texts("working folder", (command.workdir,))
    if command.user and not _USER.fullmatch(command.user):
        raise CallerFault(
            f"{command.user[:_SHOWN]!r} cannot be a user", hint="write `name`, `uid` or `uid:gid`"
        )


def _check_texts(what: str, texts: Sequence[str]) -> None:
    if len(texts) > MAX_ARGUMENTS:
        raise CallerFault(f"{len(texts)} {what}s are too many: the most is {MAX_ARGUMENTS}")
    sizes = [len(text.encode("utf-8", "surrogatepass")) for text in texts]
    if max(sizes, default=0) > MAX_ARGUMENT or sum(sizes) > MAX_COMMAND:
        raise CallerFault(
            f"an {what} is longer than {MAX_ARGUMENT} bytes, or all together than {MAX_COMMAND}"
        )
    for text in texts:
        if "\0" in text:
            raise CallerFault(f"an {what} holds a NUL character")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise CallerFault(f"an {what} is not text: it holds half of a surrogate pair")


def check_packages(manager: Manager, packages: Sequence[str]) -> tuple[str, ...]:
    """Package names as this manager has them: no options, addresses, paths or characters of a shell.

    Raises CallerFault.
    """
    if not packages:
        raise CallerFault("there are no packages to install")
    if len(packages) > MAX_PACKAGES:
        raise CallerFault(f"{len(packages)} packages are too many: the most is {MAX_PACKAGES}")
    if manager == "pip":
        return tuple(str(_requirement(one)) for one in packages)
    pattern = {"npm": _NPM, "apt-get": _APT, "apk": _APK}[manager]
    for one in packages:
        if len(one) > MAX_NAME or not pattern.fullmatch(one):
            raise CallerFault(
                f"{one[:_SHOWN]!r} cannot be a package of {manager}",
                hint="a package is a name, perhaps with a version; options and addresses are not accepted",
            )
    return tuple(packages)


def _requirement(text: str) -> Requirement:
    return read_requirement(text)  # its PackageFault is a CallerFault


def manager_of(image: str) -> Manager | None:
    """What the image's name says of its package manager; None when it says nothing."""
    name = image.rpartition("/")[2].partition(":")[0].partition("@")[0].lower()
    for word, manager in _BY_NAME:
        if word in name:
            return manager
    return None


_BY_NAME: Final[tuple[tuple[str, Manager], ...]] = (
    ("node", "npm"),
    ("python", "pip"),
    ("ubuntu", "apt-get"),
    ("debian", "apt-get"),
    ("alpine", "apk"),
)
