"""Which package a command starts, read from the command alone. Pure.

Only launchers whose options are known here are understood. A command with any other option, or a
launcher that is started by a path, is a local program of which nothing is known: a package that is
guessed wrongly would be judged by another's record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from ostiary.registry.change import named
from ostiary.registry.launcher import MOST_WORDS, Kind, Launcher, Read, launcher_of
from ostiary.registry.subject import MAX_NAME, Sign, Subject, digest, npm, pypi

MAX_WORDS: Final = 1_000
"""Words that are read. Of a command with more nothing is known: one behind them may name another package."""

_TAKEN_APART: Final = re.compile(r"[&|<>^%\r\n]")


def _image(spec: str) -> Subject:
    name, _, pinned = spec.partition("@")
    head, mark, tag = name.rpartition(":")
    if not mark or "/" in tag:
        head, tag = name, ""
    version = pinned or ("" if tag == "latest" else tag)
    floating = not pinned.startswith("sha256:")
    return Subject(
        kind="image",
        name=head[:MAX_NAME],
        version=version[:MAX_NAME],
        wanted="" if version else tag[:MAX_NAME],
        floating=floating,
    )


_SUBJECTS: Final[Mapping[Kind, Callable[[str], Subject]]] = {"npm": npm, "pypi": pypi, "oci": _image}

_DECIDING: Final = re.compile(
    r"PATH|LD_PRELOAD|LD_LIBRARY_PATH|LD_AUDIT|DYLD_.*|NODE_OPTIONS|NODE_PATH|BASH_ENV|ENV|"
    r"PYTHON(PATH|HOME|STARTUP|USERBASE)|NPM_CONFIG_.*|PNPM_.*|YARN_.*|COREPACK_.*|BUN_.*|PIP_.*|PIPX_.*|UV_.*|"
    r"HOME|USERPROFILE|APPDATA|XDG_(CONFIG|DATA|CACHE)_(HOME|DIRS)|"
    r"DOCKER_.*|CONTAINER_.*|CONTAINERS_.*|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)",
    re.IGNORECASE,
)
"""Variables that decide which code runs, whatever the command says: also where settings and programs are."""


def of_command(command: Sequence[str], environment: Mapping[str, str], folder: str) -> Subject:
    """What `command` starts in `folder` with these variables set. Never raises.

    A local program is another one in another folder: its words may be read from there.
    """
    # Bytes that are no text become `?`: what is shown and kept has to be text. The digest knows them.
    words = tuple(word.encode("utf-8", "replace").decode() for word in command[:MAX_WORDS])
    if re.fullmatch(r"cmd(\.exe)?", words[0] if words else "", re.IGNORECASE) and _plain_shell(words):
        words = words[2:]
    subject = (_started(words, folder) if len(command) <= MAX_WORDS else None) or _local(words)
    if subject.kind == "local":
        subject = msgspec.structs.replace(subject, apart=digest("\0".join([folder, *command])))
    signs = (*subject.signs, *_deciding(environment))
    return msgspec.structs.replace(subject, signs=signs)


def _plain_shell(words: Sequence[str]) -> bool:
    """Whether `cmd /c` starts the rest as it stands: some characters begin another command."""
    return len(words) > 2 and words[1].lower() == "/c" and not any(map(_TAKEN_APART.search, words[2:]))  # noqa: PLR2004 - the shell, its option, a command


def _started(words: tuple[str, ...], folder: str) -> Subject | None:
    """The package that a launcher starts; None where it is none, or says what is not known."""
    launcher = launcher_of([re.sub(r"\.(cmd|exe)$", "", word) for word in words[:MOST_WORDS]])
    if launcher is None or not launcher.judged:
        return None
    around = words[len(launcher.words) :]
    read = Read(launcher, around)
    if read.lost or len(read.named) > 1 or not read.package:
        return None
    subject = _beside(_SUBJECTS[launcher.kind](read.package), read)
    if subject.kind == "image":
        subject = _apart(subject, launcher, [word for word in around if word != read.package], folder)
    if not read.sources:
        return subject
    sign = Sign("other-source", "ask-first", f"{named(read.sources[0])} fetches it from another registry")
    return msgspec.structs.replace(subject, signs=(*subject.signs, sign))


def _beside(subject: Subject, read: Read) -> Subject:
    """The package, with a sign where a program is started that need not be its own: `npx -p NAME sh`."""
    if not read.named or not read.rest:
        return subject
    program, own = read.rest[0], subject.name.rpartition("/")[2]
    if re.sub(r"[-_.]+", "-", program).lower() == re.sub(r"[-_.]+", "-", own).lower():
        return subject
    text = f"{named(program)} is started, which need not be a program of that package"
    return msgspec.structs.replace(subject, signs=(*subject.signs, Sign("other-program", "ask-first", text)))


_FROM_FOLDER: Final = re.compile(
    r"-v|--volume|--mount|--env-file|(?:--volume|--mount|--env-file)=.*", re.DOTALL
)


def _apart(subject: Subject, launcher: Launcher, around: list[str], folder: str) -> Subject:
    """The image with all that is said around it: mounts, variables and words decide what runs in it."""
    if set(around) <= launcher.known.silent:
        return subject
    where = folder if any(_FROM_FOLDER.fullmatch(word) for word in around) else ""
    return msgspec.structs.replace(subject, apart=digest("\0".join([where, *around])))


def _local(words: tuple[str, ...]) -> Subject:
    # Behind a space there may be arguments, and one of them may be a secret.
    first = re.split(r"(?<!\s)\s++(?=-|[^\s=]{0,100}=)", words[0], maxsplit=1)[0] if words else ""
    program = (re.split(r"[/\\]", first)[-1].split() or [""])[0]
    text = f"{named(program or 'it')} is a local program: it can change without a new version to show for it"
    return Subject(
        kind="local",
        name=program[:MAX_NAME] or "program",
        signs=(Sign("local-program", "proceed", text),),
    )


def _deciding(environment: Mapping[str, str]) -> tuple[Sign, ...]:
    """One sign for each variable that decides which code runs."""
    return tuple(
        Sign(
            "deciding-variable",
            "ask-first",
            f"the variable {named(name)} decides which code runs, whatever the command says",
        )
        for name in sorted(environment)
        if _DECIDING.fullmatch(name[:MAX_NAME])
    )
