"""Which server is meant: by a name, a package, a URL or a command. Pure; all text is hostile.

What a subject shows holds no secret: of a URL only the origin, of a local command only its program.
The rest of both is a digest in its key.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from ostiary.errors import CallerFault
from ostiary.registry.change import named

Kind = Literal["name", "npm", "pypi", "image", "url", "local"]
Action = Literal["proceed", "connect-with-rule", "ask-first"]

MAX_TYPED: Final = 8_192
"""The longest name, package or URL that is looked at, in characters."""

MAX_NAME: Final = 214
"""The longest name of a package on either registry."""

MAX_SPEC: Final = 1_000
"""The longest package with its version that is taken apart: some patterns take quadratic time."""

_NPM: Final = re.compile(r"(@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*")
_PYPI: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_EXTRAS: Final = re.compile(r"\[[A-Za-z0-9._, -]*\]")
_EXACT_NPM: Final = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")
_EXACT_PYPI: Final = re.compile(r"v?\d+(\.\d+)*([A-Za-z0-9.+!-]*)?")
_ELSEWHERE: Final = re.compile(
    r"[a-z+]+:|\.{1,2}$|\.{0,2}/|~|[^@\s]+/[^@\s]+(@|#|$)|.+@\s*[a-z+]+:", re.IGNORECASE
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Sign(msgspec.Struct, frozen=True):
    """Something about the way a server is named or started, whatever tools it has."""

    code: str
    action: Action
    text: str


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The server in question. `name` is a package, an image, an origin, a program, or what was typed.

    `version` is an exact one, else empty. `wanted` is what stood in its place: a tag or a range.
    `floating` tells that another version may come at the next start. `apart` tells URLs of one
    origin, and commands of one program, from each other.
    """

    kind: Kind
    name: str
    version: str = ""
    wanted: str = ""
    floating: bool = False
    apart: str = ""
    signs: tuple[Sign, ...] = ()

    @property
    def key(self) -> str:
        """What the memory of earlier looks knows it by: the same for every version."""
        return f"{self.kind}:{self.name}" + (f"#{self.apart}" if self.apart else "")

    @property
    def spec(self) -> str:
        """Name and version as its registry spells them."""
        tail = self.version or self.wanted
        if not tail or tail[0] in "=<>!~":
            return self.name + tail
        if self.kind == "pypi":
            return self.name + ("==" if self.version else "@") + tail
        return self.name + (":" if self.kind == "image" and not tail.startswith("sha256:") else "@") + tail


def typed(text: str) -> Subject:
    """The subject of a NAME, PACKAGE or URL. Raises CallerFault for what is none at all."""
    if not text.strip():
        raise CallerFault("which server is meant", hint="give a name, a package, a URL, or `-- COMMAND…`")
    if len(text) > MAX_TYPED:
        raise CallerFault(f"the name has {len(text)} characters, more than the {MAX_TYPED} that are read")
    if not text.isprintable() and text != text.encode("utf-8", "replace").decode():
        raise CallerFault("the name is no text in UTF-8", hint="type it anew")
    if "://" in text:
        return of_url(text)
    for prefix in ("npm:", "pypi:"):
        if text.startswith(prefix):
            rest = text.removeprefix(prefix)
            return npm(rest, started=False) if prefix == "npm:" else pypi(rest, started=False)
    if text.startswith("@"):
        return npm(text, started=False)
    if re.search(r"[=<>!~]=|[<>]", text):
        return pypi(text, started=False)
    name, _, wanted = text.partition("@")
    exact = wanted if len(wanted) <= MAX_SPEC and _EXACT_PYPI.fullmatch(wanted) else ""
    return _named("name", name, wanted, exact, floating=bool(wanted) and not exact)


def of_url(text: str) -> Subject:
    """The server at a URL. Raises CallerFault for what is no http or https URL, without repeating it."""
    hint = "expected http://HOST or https://HOST, then a path"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise CallerFault("the URL cannot be read", hint=hint) from None
    if parts.scheme.lower() not in ("http", "https") or not host or any(char.isspace() for char in text):
        raise CallerFault("that is no URL of a server", hint=hint)
    signs: list[Sign] = []
    if parts.scheme.lower() == "http" and host not in _LOOPBACK:
        signs.append(
            Sign("plain-http", "ask-first", "it is reached without TLS: whoever is on the way reads along")
        )
    if not host.isascii() or "xn--" in host or not re.fullmatch(r"[a-z0-9.:_-]+", host):
        signs.append(
            Sign("odd-host", "ask-first", f"the host {named(host)} has characters that look like others")
        )
    if parts.username is not None or parts.password is not None:
        signs.append(
            Sign("secret-in-url", "ask-first", "the URL holds a user name or password: use a header")
        )
    origin = f"{parts.scheme.lower()}://{f'[{host}]' if ':' in host else host}" + (f":{port}" if port else "")
    return Subject(kind="url", name=origin[:MAX_TYPED], apart=digest(text), signs=tuple(signs))


def npm(spec: str, *, started: bool = True) -> Subject:
    """A package as npm names it. `started` tells that this is what a command starts."""
    if len(spec) > MAX_SPEC:
        return elsewhere("npm", spec)
    at = spec.find("@", 1)
    name, wanted = (spec, "") if at < 0 else (spec[:at], spec[at + 1 :])
    if ":" in wanted or (not _NPM.fullmatch(name) and _ELSEWHERE.match(spec)):
        return elsewhere("npm", spec)
    exact = wanted if _EXACT_NPM.fullmatch(wanted) else ""
    return _named("npm", name, wanted, exact, floating=not exact and (started or bool(wanted)))


def pypi(spec: str, *, started: bool = True) -> Subject:
    """A package as pip and uv name it."""
    if len(spec) > MAX_SPEC:
        return elsewhere("pypi", spec)
    bare = _EXTRAS.sub("", spec, count=1).strip()
    parts = re.match(r"([^=<>!~@;\s]*)\s*(.*)", bare, re.DOTALL)
    name, rest = (parts[1], parts[2].strip()) if parts else (bare, "")
    if (rest.startswith("@") and re.search(r"[:/]", rest)) or (
        not _PYPI.fullmatch(name) and _ELSEWHERE.match(bare)
    ):
        return elsewhere("pypi", spec)
    wanted = rest[1:].strip() if rest.startswith("@") else rest
    found = re.fullmatch(r"(?:===?)?\s*([^=<>!~,;*\s]+)", wanted)
    exact = found[1] if found and _EXACT_PYPI.fullmatch(found[1]) else ""
    name = re.sub(r"[-_.]+", "-", name).lower() if _PYPI.fullmatch(name) else name
    return _named("pypi", name, wanted, exact, floating=not exact and (started or bool(wanted)))


def elsewhere(kind: Kind, spec: str) -> Subject:
    """Code that is fetched from somewhere that is not the registry."""
    text = "the code comes from an address or a folder, not from a package registry: nothing is known of it"
    sign = Sign("other-source", "ask-first", text)
    name = re.split(r"[:/@]", re.split(r"[#?]", spec)[0])[-1][:MAX_NAME] or "code"
    return Subject(kind="local", name=name, apart=digest(f"{kind} {spec}"), floating=True, signs=(sign,))


def _named(kind: Kind, name: str, wanted: str, exact: str, *, floating: bool) -> Subject:
    """A package by name; a name that no package can have is told."""
    fits = _PYPI if kind == "pypi" else _NPM
    signs: tuple[Sign, ...] = ()
    if len(name) > MAX_NAME or not fits.fullmatch(name):
        signs = (Sign("odd-name", "ask-first", f"{named(name)} is a name that no package can have"),)
    return Subject(
        kind=kind,
        name=name[:MAX_NAME],
        version=exact.removeprefix("v")[:MAX_NAME],
        wanted="" if exact else wanted[:MAX_NAME],
        floating=floating,
        apart=digest(name) if len(name) > MAX_NAME else "",
        signs=signs,
    )


def digest(text: str) -> str:
    """What stands for a text that may hold secrets."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
