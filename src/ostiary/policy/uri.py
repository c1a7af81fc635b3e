"""Resource addresses as `resources` patterns see them (P6).

An upstream may accept several spellings of one address. A pattern is compared with a normal
spelling as well as the given one, and an address that could be read in more ways is refused.
"""

from __future__ import annotations

import re
from typing import Final

from ostiary.arguments.fault import ArgumentError
from ostiary.arguments.text import refuse_dot_segments

MAX_URI: Final = 8192
_WEB_PORTS: Final = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}
_SHAPE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31}):(//)?([^/?#]*)(.*)\Z", re.DOTALL)


def spellings(uri: str) -> tuple[str, ...]:
    """The given spelling and, if different, the normal one.

    Normal: scheme and authority in lower case, without a trailing dot or a port that goes
    without saying; `file:/x` and `file://localhost/x` as `file:///x`.

    Raises:
        ArgumentError: when `uri` has no scheme, is too long, or holds white space, control or
            invisible characters, a backslash, percent-encoding, a `.`, `..` or empty part, or user
            information; and for `https:x` and `file:x`, which readers complete differently.
    """
    if not uri or len(uri) > MAX_URI or any(char.isspace() for char in uri):
        raise ArgumentError("address is empty, too long or holds white space")
    refuse_dot_segments(uri)
    match = _SHAPE.match(uri)
    if match is None:
        raise ArgumentError("address has no scheme")
    scheme, slashes, authority, rest = match.groups()
    scheme = scheme.lower()
    if scheme == "file":
        if not _is_local(slashes, authority, rest):
            raise ArgumentError("address names a file by another host, or by no full path")
        normal = f"file://{rest}"
    elif slashes:
        normal = f"{scheme}://{_authority(scheme, authority)}{rest}"
    elif scheme in _WEB_PORTS:
        raise ArgumentError("address has no host")
    else:
        normal = f"{scheme}:{authority}{rest}"
    return (uri,) if normal == uri else (uri, normal)


def _authority(scheme: str, authority: str) -> str:
    if "@" in authority:
        raise ArgumentError("address holds user information")
    lower = authority.lower()
    port = _WEB_PORTS.get(scheme, "")
    return (lower.removesuffix(port) if port else lower).removesuffix(".")


def _is_local(slashes: str | None, authority: str, rest: str) -> bool:
    """`file:///x` and the two other ways to write it (RFC 8089)."""
    if slashes:
        return authority.lower() in ("", "localhost") and rest.startswith("/")
    return not authority and rest.startswith("/")
