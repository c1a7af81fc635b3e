"""Commands that start packages, and where among their words the package stands. Pure.

One table for two readers. Who judges a package has to know what every word before it means for what
runs, and a word that is not known there is none of his; who only shows a command can also pass over
options that change what runs, because nothing rests on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Final, Literal

import msgspec

Kind = Literal["npm", "pypi", "oci"]

_NONE: Final[frozenset[str]] = frozenset()


class Options(msgspec.Struct, frozen=True):
    """Options by what they mean.

    `silent` ones say nothing about the package, `taking` ones have a value that does not either,
    `naming` ones name it, and `source` ones say where it is fetched from. `versions` are taking ones
    that may only have a version: a path there would be a program that is run.
    """

    silent: frozenset[str] = _NONE
    taking: frozenset[str] = _NONE
    naming: frozenset[str] = _NONE
    source: frozenset[str] = _NONE
    versions: frozenset[str] = _NONE


class Launcher(msgspec.Struct, frozen=True):
    """What starts packages: the words it begins with, and its options.

    `known` are those with which a package is judged. `passed` are further ones that are passed over
    where the command is only shown: they may change what runs. With `judged` off there are only those.
    One that reads options `anywhere` does so behind the package as well, up to `--`.
    """

    words: tuple[str, ...]
    kind: Kind
    known: Options
    passed: Options
    judged: bool = True
    anywhere: bool = False


_QUIET: Final = frozenset({"-q", "--quiet", "-v", "--verbose"})
_INDEXES: Final = frozenset(
    {"-i", "-f", "--index", "--index-url", "--default-index", "--extra-index-url", "--find-links"}
)
_NPM: Final = Options(
    silent=frozenset({"-y", "--yes", "--no-install", "--prefer-offline", "--offline", "--bun"}) | _QUIET,
    naming=frozenset({"-p", "--package"}),
    source=frozenset({"--registry"}),
)
_NPM_PASSED: Final = Options(
    silent=frozenset({"-s", "--silent", "--no", "--prefer-online"}),
    taking=frozenset({"--cache", "--userconfig", "-w", "--workspace", "--loglevel"}),
)
_UV: Final = Options(
    silent=frozenset({"-n", "--no-cache", "--isolated", "--offline", "--refresh", "--no-progress"}) | _QUIET,
    taking=frozenset({"-p", "--python"}),
    naming=frozenset({"--from"}),
    source=_INDEXES,
    versions=frozenset({"-p", "--python"}),
)
_PIPX: Final = Options(
    silent=frozenset({"--no-cache"}) | _QUIET,
    taking=frozenset({"--python"}),
    naming=frozenset({"--spec"}),
    source=_INDEXES,
    versions=frozenset({"--python"}),
)
# uv and pipx are one here: of a command that mixes them up the package can still be shown.
_PYPI_PASSED: Final = Options(
    silent=frozenset(
        {"-n", "--no-cache", "--isolated", "--offline", "--refresh", "--no-progress", "-U", "--upgrade"}
        | {"--native-tls", "--no-config", "--managed-python"}
    ),
    taking=frozenset(
        {"-p", "--python", "--with", "--with-requirements", "--with-editable", "--directory", "--cache-dir"}
        | {"--refresh-package", "--prerelease", "--env-file", "--project", "-c", "--constraints"}
        | {"--config-file", "--python-preference", "--exclude-newer", "--pip-args"}
    ),
    naming=frozenset({"--from", "--spec"}),
)
_RUN: Final = Options(
    silent=frozenset(
        {"-i", "-t", "-it", "-ti", "-d", "--rm", "--init", "--interactive", "--tty", "--read-only"}
    ),
    taking=frozenset(
        {"-e", "--env", "--env-file", "-v", "--volume", "--mount", "--network", "--net", "--name", "-p"}
        | {"--publish", "-u", "--user", "-w", "--workdir", "-m", "--memory", "--cpus", "--platform"}
        | {"--label", "-l", "--cap-drop", "--security-opt", "--pids-limit", "--tmpfs", "--add-host", "--pull"}
    ),
)
_RUN_PASSED: Final = Options(
    silent=frozenset(
        {"--privileged", "-q", "--quiet", "-P", "--publish-all", "--no-healthcheck", "--sig-proxy"}
    ),
    taking=frozenset(
        {"--entrypoint", "--cap-add", "-h", "--hostname", "--dns", "--device", "--gpus", "--ulimit"}
        | {"--restart", "--log-driver", "--log-opt", "--runtime", "--userns", "--ipc", "--pid", "--shm-size"}
    ),
)


def _launchers(
    kind: Kind,
    known: Options,
    passed: Options,
    *commands: str,
    judged: bool = True,
    anywhere: bool = False,
) -> tuple[Launcher, ...]:
    return tuple(Launcher(tuple(words.split()), kind, known, passed, judged, anywhere) for words in commands)


LAUNCHERS: Final = (
    *_launchers("npm", _NPM, _NPM_PASSED, "npx", "bunx", "pnpx", "pnpm dlx", "yarn dlx"),
    *_launchers("npm", _NPM, _NPM_PASSED, "npm exec", "npm x", anywhere=True),
    *_launchers("npm", _NPM, _NPM_PASSED, "pnpm exec", "bun x", judged=False),
    *_launchers("pypi", _UV, _PYPI_PASSED, "uvx", "uv tool run"),
    *_launchers("pypi", _PIPX, _PYPI_PASSED, "pipx run"),
    *_launchers("oci", _RUN, _RUN_PASSED, "docker run", "podman run"),
    *_launchers("oci", _RUN, _RUN_PASSED, "docker container run", "podman container run", judged=False),
    *_launchers("oci", _RUN, _RUN_PASSED, "nerdctl run", "nerdctl container run", judged=False),
)
MOST_WORDS: Final = max(len(one.words) for one in LAUNCHERS)

_PYTHON_VERSION: Final = re.compile(r"(?:(?:c?python|pypy)[@-]?)?[0-9]+(?:\.[0-9]+){0,2}t?", re.IGNORECASE)


def launcher_of(words: Sequence[str]) -> Launcher | None:
    """The launcher that a command begins with, by exactly its words."""
    head = tuple(words[:MOST_WORDS])
    return next((one for one in LAUNCHERS if head[: len(one.words)] == one.words), None)


class Read:
    """The options of a launcher, up to the first word that is none. `lost` at one that is not known."""

    def __init__(self, launcher: Launcher, words: Sequence[str], *, shown: bool = False) -> None:
        """`words` are those behind the launcher's own. With `shown` nothing is judged by what is read."""
        self._known = _together(launcher.known, launcher.passed) if shown else launcher.known
        self._shown = shown
        self.named: list[str] = []
        self.sources: list[str] = []
        self.lost = False
        at = 0
        while at < len(words) and words[at].startswith("-") and words[at] != "--" and not self.lost:
            option, joined, value = words[at].partition("=")
            at += 1
            if not joined and option in self._known.taking | self._known.naming | self._known.source:
                value = words[at] if at < len(words) else ""
                at += 1
            self._take(option, value, joined=bool(joined))
        ended = tuple(words[at : at + 1]) == ("--",)
        self.rest = tuple(words[at + 1 :] if ended else words[at:])
        if launcher.anywhere and not ended:  # `npm exec A --package=B` starts B
            self.lost = self.lost or any(map(_is_option, takewhile(lambda word: word != "--", self.rest)))

    def _take(self, option: str, value: str, *, joined: bool) -> None:
        known = self._known
        if option in known.naming:
            self.named.append(value)
        elif option in known.source:
            self.sources.append(option)
        elif option in known.taking:
            self.lost = option in known.versions and not _PYTHON_VERSION.fullmatch(value)
        elif joined:  # whatever it is, its value is in the same word: the package is none of it
            self.lost = not self._shown
        else:
            self.lost = option not in known.silent

    @property
    def package(self) -> str:
        """The first word that names a package; empty where none does, or where one may be a value."""
        if self.named:
            return self.named[0]
        return self.rest[0] if self.rest and not self.lost else ""


def _is_option(word: str) -> bool:
    return word.startswith("-")


def _together(known: Options, passed: Options) -> Options:
    return Options(
        silent=known.silent | passed.silent,
        taking=known.taking | passed.taking,
        naming=known.naming | passed.naming,
        source=known.source,
    )
