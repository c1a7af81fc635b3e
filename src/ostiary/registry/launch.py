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
from ostiary.registry.subject import MAX_NAME, Sign, Subject, digest, npm, pypi

MAX_WORDS: Final = 1_000


class Launcher(msgspec.Struct, frozen=True):
    """What starts packages: the words it begins with, and its options by what they mean.

    `silent` options say nothing about the package, `taking` ones have a value that does not
    either, `naming` ones name it, and `source` ones say where it is fetched from. `versions` are
    taking ones that may only have a version: a path there would be a program that is run.
    """

    words: tuple[str, ...]
    subject: Callable[[str], Subject]
    silent: frozenset[str]
    taking: frozenset[str] = frozenset()
    naming: frozenset[str] = frozenset()
    source: frozenset[str] = frozenset()
    versions: frozenset[str] = frozenset()


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


_QUIET: Final = frozenset({"-q", "--quiet", "-v", "--verbose"})
_NPM: Final = frozenset({"-y", "--yes", "--no-install", "--prefer-offline", "--offline", "--bun"}) | _QUIET
_UV: Final = frozenset({"-n", "--no-cache", "--isolated", "--offline", "--refresh", "--no-progress"}) | _QUIET
_INDEXES: Final = frozenset(
    {"-i", "-f", "--index", "--index-url", "--default-index", "--extra-index-url", "--find-links"}
)
_RUN: Final = frozenset(
    {"-i", "-t", "-it", "-ti", "-d", "--rm", "--init", "--interactive", "--tty", "--read-only"}
)
_RUN_TAKING: Final = frozenset(
    {"-e", "--env", "--env-file", "-v", "--volume", "--mount", "--network", "--net", "--name", "-p"}
    | {"--publish", "-u", "--user", "-w", "--workdir", "-m", "--memory", "--cpus", "--platform", "--label"}
    | {"-l", "--cap-drop", "--security-opt", "--pids-limit", "--tmpfs", "--add-host", "--pull"}
)


def _npx(*words: str) -> Launcher:
    return Launcher(words, npm, _NPM, naming=frozenset({"-p", "--package"}), source=frozenset({"--registry"}))


def _uvx(*words: str) -> Launcher:
    python = frozenset({"-p", "--python"})
    return Launcher(words, pypi, _UV, python, frozenset({"--from"}), _INDEXES, python)


LAUNCHERS: Final = (
    *(_npx(*words.split()) for words in ("npx", "bunx", "pnpx", "npm exec", "npm x", "pnpm dlx", "yarn dlx")),
    *(_uvx(*words.split()) for words in ("uvx", "uv tool run")),
    Launcher(
        ("pipx", "run"),
        pypi,
        frozenset({"--no-cache"}) | _QUIET,
        frozenset({"--python"}),
        frozenset({"--spec"}),
        _INDEXES,
        frozenset({"--python"}),
    ),
    *(Launcher((engine, "run"), _image, _RUN, _RUN_TAKING) for engine in ("docker", "podman")),
)

_DECIDING: Final = re.compile(
    r"PATH|LD_PRELOAD|LD_LIBRARY_PATH|LD_AUDIT|DYLD_.*|NODE_OPTIONS|NODE_PATH|BASH_ENV|ENV|"
    r"PYTHON(PATH|HOME|STARTUP|USERBASE)|NPM_CONFIG_.*|PNPM_.*|YARN_.*|COREPACK_.*|BUN_.*|PIP_.*|PIPX_.*|UV_.*|"
    r"HOME|USERPROFILE|APPDATA|XDG_(CONFIG|DATA|CACHE)_(HOME|DIRS)|"
    r"DOCKER_.*|CONTAINER_.*|CONTAINERS_.*|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)",
    re.IGNORECASE,
)
"""Variables that decide which code runs, whatever the command says: also where settings and programs are."""

_PYTHON_VERSION: Final = re.compile(r"(?:(?:c?python|pypy)[@-]?)?[0-9]+(?:\.[0-9]+){0,2}t?", re.IGNORECASE)


def of_command(command: Sequence[str], environment: Mapping[str, str], folder: str) -> Subject:
    """What `command` starts in `folder` with these variables set. Never raises.

    A local program is another one in another folder: its words may be read from there.
    """
    # Bytes that are no text become `?`: what is shown and kept has to be text. The digest knows them.
    words = tuple(word.encode("utf-8", "replace").decode() for word in command[:MAX_WORDS])
    if len(words) > 2 and re.fullmatch(r"cmd(\.exe)?", words[0], re.IGNORECASE) and words[1].lower() == "/c":  # noqa: PLR2004 - `cmd /c` and something after it
        words = words[2:]
    found = next((one for one in (_started(each, words, folder) for each in LAUNCHERS) if one), None)
    subject = found or _local(words)
    if subject.kind == "local":
        subject = msgspec.structs.replace(subject, apart=digest("\0".join([folder, *command])))
    signs = (*subject.signs, *_deciding(environment))
    return msgspec.structs.replace(subject, signs=signs)


def _started(launcher: Launcher, words: tuple[str, ...], folder: str) -> Subject | None:
    """The package that this launcher starts; None where it is another or says what is not known."""
    head = tuple(re.sub(r"\.(cmd|exe)$", "", word) for word in words[: len(launcher.words)])
    if head != launcher.words:
        return None
    read = _Read(launcher, words[len(launcher.words) :])
    if read.lost or len(read.named) > 1:
        return None
    spec = (*read.named, *read.rest)[:1]
    if not spec or not spec[0]:
        return None
    subject = _beside(launcher.subject(spec[0]), read)
    if subject.kind == "image":
        subject = _apart(subject, launcher, words, spec[0], folder)
    if not read.sources:
        return subject
    sign = Sign("other-source", "ask-first", f"{named(read.sources[0])} fetches it from another registry")
    return msgspec.structs.replace(subject, signs=(*subject.signs, sign))


def _beside(subject: Subject, read: _Read) -> Subject:
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


def _apart(subject: Subject, launcher: Launcher, words: tuple[str, ...], spec: str, folder: str) -> Subject:
    """The image with all that is said around it: mounts, variables and words decide what runs in it."""
    around = [word for word in words[len(launcher.words) :] if word != spec]
    if set(around) <= launcher.silent:
        return subject
    where = folder if any(_FROM_FOLDER.fullmatch(word) for word in around) else ""
    return msgspec.structs.replace(subject, apart=digest("\0".join([where, *around])))


class _Read:
    """The options of a launcher, up to the first word that is none. `lost` at one that is not known."""

    def __init__(self, launcher: Launcher, words: tuple[str, ...]) -> None:
        self.named: list[str] = []
        self.sources: list[str] = []
        self.rest: tuple[str, ...] = ()
        self.lost = False
        at = 0
        while at < len(words) and words[at].startswith("-") and words[at] != "--" and not self.lost:
            option, joined, value = words[at].partition("=")
            at += 1
            if option in launcher.silent and not joined:
                continue
            if not joined and option in launcher.taking | launcher.naming | launcher.source:
                value = words[at] if at < len(words) else ""
                at += 1
            self._take(launcher, option, value)
        self.rest = words[at + 1 :] if words[at : at + 1] == ("--",) else words[at:]

    def _take(self, launcher: Launcher, option: str, value: str) -> None:
        if option in launcher.naming:
            self.named.append(value)
        elif option in launcher.source:
            self.sources.append(option)
        elif option not in launcher.taking or (
            option in launcher.versions and not _PYTHON_VERSION.fullmatch(value)
        ):
            self.lost = True


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
