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
_SHAPE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31}):(//)?([^/?#]*)(.*)\Z", re.DOTALL)


def spellings(uri: str) -> tuple[str, ...]:
    """The given spelling and, if different, the normal one.

    Normal: scheme and authority in lower case, `file:/x` and `file://localhost/x` as `file:///x`.

    Raises:
        ArgumentError: when `uri` has no scheme, is too long, or holds white space, control or
            invisible characters, a backslash, percent-encoding or a `.` or `..` part.
    """
    if not uri or len(uri) > MAX_URI or any(char.isspace() for char in uri):
        raise ArgumentError("address is empty, too long or holds white space")
    refuse_dot_segments(uri)
    match = _SHAPE.match(uri)
    if match is None:
        raise ArgumentError("address has no scheme")
    scheme, slashes, authority, rest = match.groups()
    scheme = scheme.lower()
    if scheme == "file" and _is_local(slashes, authority, rest):
        normal = f"file://{rest}"
    elif slashes:
        normal = f"{scheme}://{authority.lower()}{rest}"
    else:
        normal = f"{scheme}:{authority}{rest}"
    return (uri,) if normal == uri else (uri, normal)


def _is_local(slashes: str | None, authority: str, rest: str) -> bool:
    """The two other ways to write `file:///x` (RFC 8089)."""
    if slashes:
        return authority.lower() == "localhost"
    return not authority and rest.startswith("/")
