"""What a command starts: which package from where, and whether it says which version.

Nothing of a command is passed on that was not recognised: an argument may be a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from ostiary.registry.launcher import Kind, Read, launcher_of
from ostiary.scan.clients.gated import is_gated
from ostiary.scan.clients.secrecy import looks_secret, secret_in_url

Source = Literal["npm", "pypi", "oci", "git", "file", "remote", "extension", "unknown"]
Pin = Literal["pinned", "tagged", "floating", "local", "remote", "unknown"]
"""`tagged` is an image whose tag can be moved; `local` a program of this machine; `unknown` not told."""


class Launch(msgspec.Struct, frozen=True):
    """How a server starts: by which program, what of which source, and in which version."""

    program: str
    source: Source
    package: str = ""
    version: str = ""
    pin: Pin = "unknown"

    @property
    def text(self) -> str:
        """In a few words. `pkg@1.2.3`, `mcp/slack:latest`, or the program alone."""
        if self.source == "remote":
            return self.package or "an address"
        if not self.package:
            return self.program
        sign = ":" if self.source == "oci" else "@"
        return f"{self.program} {self.package}" + (f"{sign}{self.version}" if self.version else "")


_PYPI_PROGRAMS: Final = frozenset({"uvx", "pipx", "uv"})
_ENGINES: Final = frozenset({"docker", "podman", "nerdctl"})
_SHELLS: Final = frozenset({"sh", "bash", "zsh", "dash", "fish", "powershell", "pwsh"})
_NAME: Final = re.compile(r"(@[A-Za-z0-9._~-]{1,100}/)?[A-Za-z0-9._~-]{1,100}")
_VERSION: Final = re.compile(r"[A-Za-z0-9.*^~<>=|!,+_ -]{1,60}")
_EXACT: Final = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(?:[-+.][0-9A-Za-z.+-]+)?")
_PYTHON: Final = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]{0,100})(?:\[[A-Za-z0-9._, -]*\])?(?:\s*(==|@|[<>~!=]=?)\s*(.+))?"
)
_IMAGE: Final = re.compile(
    r"([a-z0-9.-]+(?::[0-9]{1,5})?(?:/[a-z0-9._-]+)*)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?"
)
_ARGUMENTS: Final = re.compile(r"(?<!\s)\s++(?=-|[^\s=]{0,100}=)")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHOWN_DIGEST: Final = 19


def launch(command: Sequence[str]) -> Launch:
    """What `command` starts; behind a gate, what the gate does."""
    words = list(unwrapped(command))
    if not words:
        return Launch("", "unknown")
    program = re.sub(r"\.(exe|cmd|bat)$", "", _base(words[0]).lower())
    rest = words[1:]
    launcher = launcher_of([program, *rest])
    if launcher is not None:
        spec = Read(launcher, words[len(launcher.words) :], shown=True).package
        return _SHOWN[launcher.kind](launcher.words, spec)
    if program in _PYPI_PROGRAMS:
        return Launch(program, "file", pin="local")
    if program in _ENGINES:
        return Launch(f"{program} mcp" if rest[:1] == ["mcp"] else program, "unknown")
    if program in _SHELLS:
        return Launch(program, "unknown")
    if program == "deno":
        return _deno(rest)
    return Launch(_base(words[0])[:100], "file", pin="local")


def unwrapped(command: Sequence[str]) -> tuple[str, ...]:
    """The server's own command: without a gate, `cmd /c`, `env` and `wsl.exe` before it.

    Empty for a gate in front of an address or of a server of ours.
    """
    words = list(command)
    if is_gated(words):
        return unwrapped(words[words.index("--") + 1 :]) if "--" in words else ()
    if len(words) > 2 and _base(words[0]).lower() in {"cmd", "cmd.exe"} and words[1].lower() == "/c":  # noqa: PLR2004 - the shell, its option, a command
        return unwrapped(words[2:])
    if words and _base(words[0]) == "env":
        rest = words[1:]
        while rest and "=" in rest[0] and not rest[0].startswith("-"):
            rest = rest[1:]
        return unwrapped(rest) if rest and not rest[0].startswith("-") else tuple(words)
    return tuple(words)


def upstream_of(command: Sequence[str]) -> str:
    """The address that a gate stands in front of; empty where it stands in front of a command."""
    words = list(command)
    if not is_gated(words) or "--" in words or "--upstream" not in words[:-1]:
        return ""
    return words[words.index("--upstream") + 1]


def host_of(url: str) -> str:
    """The host of an address, with its port where it names one: nothing else of it can be shown."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", host) or looks_secret(host):
        return ""
    return host if port is None else f"{host}:{port}"


def _base(word: str) -> str:
    """The name of a program. What stands behind a space may be its arguments, and one of them a secret."""
    name = PurePath(_ARGUMENTS.split(word, maxsplit=1)[0].replace("\\", "/")).name
    return (name.split() or [name])[0]


def _npm_package(program: str, spec: str) -> Launch:
    if not spec:
        return Launch(program, "npm")
    if spec.startswith((".", "/", "~", "file:")):
        return Launch(program, "file", pin="local")
    if "://" in spec or spec.startswith(("github:", "gitlab:", "bitbucket:", "git@")):
        return _repository(program, spec)
    if re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+(#.*)?", spec):
        return _repository(program, f"github:{spec}")
    at = spec.find("@", 1)
    name, version = (spec, "") if at == -1 else (spec[:at], spec[at + 1 :])
    if not _NAME.fullmatch(name) or looks_secret(name):
        return Launch(program, "npm")
    if version and (not _VERSION.fullmatch(version) or looks_secret(version)):
        return Launch(program, "npm", name)
    return Launch(program, "npm", name, version, "pinned" if _EXACT.fullmatch(version) else "floating")


def _npm(words: Sequence[str], spec: str) -> Launch:
    return _npm_package(" ".join(words), spec)


def _pypi(words: Sequence[str], spec: str) -> Launch:
    program = words[0]
    if spec.startswith(("git+", "http://", "https://")):
        return _repository(program, spec)
    if spec.startswith((".", "/", "~")):
        return Launch(program, "file", pin="local")
    found = _PYTHON.fullmatch(spec)
    if found is None or looks_secret(found[1]):
        return Launch(program, "pypi")
    sign, version = found[2] or "", (found[3] or "").strip()
    if sign == "@" and "://" in version:
        return _repository(program, version)
    if version and (not _VERSION.fullmatch(version) or looks_secret(version)):
        return Launch(program, "pypi", found[1])
    exact = sign in {"==", "@"} and bool(re.fullmatch(r"[0-9][0-9A-Za-z.!+_-]*", version))
    shown = version if sign in {"==", "@", ""} else f"{sign}{version}"
    return Launch(program, "pypi", found[1], shown, "pinned" if exact else "floating")


def _oci(words: Sequence[str], spec: str) -> Launch:
    program, found = words[0], _IMAGE.fullmatch(spec)
    if found is None or looks_secret(found[1]):
        return Launch(program, "oci")
    if found[3]:
        return Launch(program, "oci", found[1], found[3][:_SHOWN_DIGEST], "pinned")
    tag = found[2] or ""
    if looks_secret(tag):
        return Launch(program, "oci", found[1])
    return Launch(program, "oci", found[1], tag, "floating" if tag in {"", "latest"} else "tagged")


_SHOWN: Final[Mapping[Kind, Callable[[Sequence[str], str], Launch]]] = {
    "npm": _npm,
    "pypi": _pypi,
    "oci": _oci,
}


def _deno(words: Sequence[str]) -> Launch:
    spec = next((word for word in words if word.startswith(("npm:", "jsr:"))), "")
    if spec.startswith("npm:"):
        return _npm_package("deno", spec.removeprefix("npm:").lstrip("/"))
    return Launch("deno", "unknown" if spec or any("://" in word for word in words) else "file")


def _repository(program: str, spec: str) -> Launch:
    """A package from a repository or an address: shown by its host and path, and neither if secret."""
    address, _, revision = spec.removeprefix("git+").partition("#")
    tail = address.rpartition("@")
    if "/" not in tail[2] and tail[0]:
        address, revision = tail[0], tail[2]
    pinned = bool(_COMMIT.fullmatch(revision))
    if secret_in_url(address) or looks_secret(address):
        return Launch(program, "git", pin="pinned" if pinned else "floating")
    if "://" in address:
        parts = urlsplit(address)
        address = f"{host_of(address)}{parts.path}"
    shown = address if re.fullmatch(r"[A-Za-z0-9.:/_@~+-]{1,200}", address) else ""
    known = revision if _VERSION.fullmatch(revision) and (pinned or not looks_secret(revision)) else ""
    return Launch(program, "git", shown, known[:12], "pinned" if pinned else "floating")
