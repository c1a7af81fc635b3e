"""URLs and host names, read strictly: where two readers could differ, the text is refused.

Sources: RFC 3986 (syntax), RFC 3987 and RFC 3490 (internationalised names), the WHATWG URL
standard for the spellings of IPv4 addresses that clients accept.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from ostiary.arguments.fault import ArgumentError
from ostiary.arguments.text import refuse_controls, refuse_folding_separators

MAX_URL = 8192
MAX_NAME = 253
MAX_PORT = 65535
_PORT_DIGITS = 5
_PARTS = 4
_BYTE = 255
_PART_DIGITS = 16
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}\Z")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_NUMERIC = re.compile(r"(?:[0-9]+|0[xX][0-9a-fA-F]*)\Z")
_DEVIATIONS = frozenset("\u00df\u03c2\u200c\u200d\u1e9e")  # IDNA 2003 and 2008 map these differently


class Url(NamedTuple):
    """What decides where a URL leads. `host` is normalised, see `read_host`; `port` 0 is absent."""

    scheme: str
    host: str
    port: int


def read_scheme(text: str) -> str:
    """Return the lower-case scheme of `text`, which must begin with one.

    Raises:
        ArgumentError: when there is none, or the text holds white space, a control character
            or a backslash.
    """
    _refuse_ambiguous(text)
    scheme, colon, _ = text.partition(":")
    if not colon or not _SCHEME.match(scheme):
        raise ArgumentError("has no scheme")
    return scheme.lower()


def read_url(text: str) -> Url:
    """Read an absolute URL of the form `scheme://host[:port][/…]`.

    Raises:
        ArgumentError: also for user information (`user@`), which is the oldest way to make a
            host look like another.
    """
    scheme = read_scheme(text)
    rest = text[len(scheme) + 1 :]
    if not rest.startswith("//"):
        raise ArgumentError("has no host")
    before_path = rest[2:].partition("/")[0]
    if "@" in before_path:  # in `a.org#@b.org` too: some readers only look for the slash
        raise ArgumentError("holds user information")
    authority = re.split(r"[?#]", before_path, maxsplit=1)[0]
    host, port = _read_authority(authority)
    return Url(scheme, host, port)


def read_host_or_url(text: str) -> str:
    """Return the normalised host of a URL, or of a bare `host` or `host:port`."""
    _refuse_ambiguous(text)
    if "://" in text:
        return read_url(text).host
    if text.count(":") > 1 and not text.startswith("["):
        return _read_ipv6(text)
    if any(mark in text for mark in "/?#"):
        raise ArgumentError("is neither a host nor a URL")
    return _read_authority(text)[0]


def read_host(text: str) -> str:
    """Normalise one host: a lower-case ASCII name without trailing dot, or an address.

    IPv4 is returned dotted, whatever its spelling (`0x7f.1`, `2130706433`, `0177.0.0.1`); an
    IPv4-mapped IPv6 address as IPv4; IPv6, with or without brackets, compressed and without.
    """
    if text.startswith("["):
        if not text.endswith("]"):
            raise ArgumentError("host has an open bracket")
        return _read_ipv6(text[1:-1])
    if ":" in text:
        return _read_ipv6(text)
    name = _to_ascii(text).removesuffix(".")
    labels = name.split(".")
    if _NUMERIC.match(labels[-1]):
        return str(_read_ipv4(labels))
    if len(name) > MAX_NAME or not all(_LABEL.match(label) for label in labels):
        raise ArgumentError("host is not a name")
    return name


def _refuse_ambiguous(text: str) -> None:
    if not text or len(text) > MAX_URL:
        raise ArgumentError("is empty or too long")
    refuse_controls(text)
    if "\\" in text or any(char.isspace() for char in text):
        raise ArgumentError("holds a backslash or white space")


def _read_authority(authority: str) -> tuple[str, int]:
    """Split `host[:port]`; user information is refused."""
    if "@" in authority:
        raise ArgumentError("holds user information")
    if authority.startswith("["):
        host, bracket, tail = authority.partition("]")
        host += bracket
    else:
        host, colon, tail = authority.partition(":")
        tail = colon + tail
    port = 0
    if tail:
        digits = tail[1:]
        if tail[0] != ":" or not (digits.isascii() and digits.isdigit()) or len(digits) > _PORT_DIGITS:
            raise ArgumentError("port is not a number")
        port = int(digits)
        if port > MAX_PORT:
            raise ArgumentError("port is out of range")
    return read_host(host), port


def _to_ascii(text: str) -> str:
    """Lower-case ASCII form of a name (punycode for the rest, RFC 3490)."""
    if text.isascii():
        return text.lower()
    if not _DEVIATIONS.isdisjoint(text):
        raise ArgumentError("host has no single ASCII form")
    refuse_folding_separators(text)
    if len(text) > MAX_NAME:  # no shorter as ASCII, and the codec takes quadratic time
        raise ArgumentError("host has no ASCII form")
    try:
        return text.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise ArgumentError("host has no ASCII form") from error


def _read_ipv4(parts: list[str]) -> IPv4Address:
    """Read one to four numbers, decimal, octal or hexadecimal; the last fills what is left."""
    if len(parts) > _PARTS:
        raise ArgumentError("address has too many parts")
    numbers = [_read_number(part) for part in parts]
    last_limit = 256 ** (_PARTS + 1 - len(numbers))
    if any(number > _BYTE for number in numbers[:-1]) or numbers[-1] >= last_limit:
        raise ArgumentError("address is out of range")
    value = numbers[-1]
    for index, number in enumerate(numbers[:-1]):
        value += number << (8 * (3 - index))
    return IPv4Address(value)


def _read_number(part: str) -> int:
    if not part or len(part) > _PART_DIGITS or not _NUMERIC.match(part):
        raise ArgumentError("address part is not a number")
    try:
        if part[:2] in ("0x", "0X"):
            return int(part, 16)  # refuses a bare `0x`: zero to some readers, a name to others
        return int(part, 8 if part[0] == "0" and len(part) > 1 else 10)
    except ValueError as error:
        raise ArgumentError("address part is not a number") from error


def _read_ipv6(text: str) -> str:
    if "%" in text:
        raise ArgumentError("address has a zone")
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        raise ArgumentError("is not an address") from error
    mapped = address.ipv4_mapped
    return str(mapped if mapped is not None else address)
