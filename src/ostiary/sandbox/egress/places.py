"""Which hosts may be reached, and which addresses a name may not lead to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import msgspec

from ostiary.arguments.address import Address, is_member
from ostiary.arguments.fault import ArgumentError
from ostiary.arguments.url import read_host
from ostiary.errors import CallerFault

MAX_PORT = 65_535
HTTPS_PORT = 443
_LABELS = 2
_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")

_PRIVATE = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24",
            "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "::1/128", "fc00::/7", "2001:db8::/32", "3fff::/20",
        ),
    )
)  # fmt: skip
"""Of one machine, one site, or of nobody: reached only by a host that is listed with `private`."""

_NEVER = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "169.254.0.0/16", "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128",
            "fd20:ce::254/128",
        ),
    )
)  # fmt: skip
"""Where a cloud tells a machine its secrets, and what is no one host's address."""

_GLOBAL_V6 = ip_network("2000::/3")
_TUNNELS = tuple(map(ip_network, ("2001::/23", "2002::/16")))
"""Teredo, 6to4 and other addresses with another address inside. NAT64 lies outside `_GLOBAL_V6`."""


class Place(msgspec.Struct, frozen=True):
    """A host, as `arguments.url.read_host` writes it, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Allowed(msgspec.Struct, frozen=True):
    """An entry of the list. With `below` it stands for every name below `host` and not for `host`.

    `private` says that this host may have an address of a private network or of this machine.
    """

    host: str
    port: int = HTTPS_PORT
    below: bool = False
    private: bool = False

    def covers(self, place: Place) -> bool:
        """Whether this entry lets `place` be reached."""
        if place.port != self.port:
            return False
        return place.host.endswith(f".{self.host}") if self.below else place.host == self.host


def read_allowed(text: str, *, private: bool = False) -> Allowed:
    """Read `host`, `host:port`, `*.suffix` or `*.suffix:port`; the port is 443 where none is given.

    Raises:
        CallerFault: for anything else; for a suffix of one label, which is half the internet; for
            a suffix with `private`, since whoever owns a name below it would choose the address.
    """
    shown = f"allowed host {text!r}"
    below = text.startswith("*.")
    try:
        place = read_place(text.removeprefix("*."), HTTPS_PORT)
    except ArgumentError as error:
        raise CallerFault(f"{shown} {error}", hint="`host`, `host:port` or `*.suffix:port`") from None
    if below and (place.host.count(".") + 1 < _LABELS or _is_literal(place.host)):
        raise CallerFault(f"{shown} is no suffix: it needs two labels or more")
    if below and private:
        raise CallerFault(f"{shown} must be one exact host to lead to a private address")
    return Allowed(place.host, place.port, below, private)


def read_place(text: str, default_port: int = 0) -> Place:
    """Read `host:port`; without a port only where `default_port` is one.

    A name is normalised: lower case, ASCII form, without its trailing dot. An address must be
    written in its one usual way.

    Raises:
        ArgumentError: for what is no host and port, and for an address in an odd spelling
            (`0x7f.1`, `2130706433`, `127.1`, `[::ffff:7f00:1]`): a reader's eye and a filter's
            would not see the same.
    """
    host, port = _split(text)
    if not port and not default_port:
        raise ArgumentError("has no port")
    if port and (not _PORT.match(port) or int(port) > MAX_PORT):
        raise ArgumentError("port is not a number from 1 to 65535")
    if not host or not host.isprintable() or any(char in host for char in " \\/@?#%"):
        raise ArgumentError("host is not a name")
    normal = read_host(host)
    if _is_literal(normal) and normal != host.strip("[]").lower():
        raise ArgumentError("address is not written in its usual form")
    return Place(normal, int(port) if port else default_port)


def find_entry(entries: Iterable[Allowed], place: Place) -> Allowed | None:
    """The entry that lets `place` be reached; one with `private` goes before one without."""
    covering = [entry for entry in entries if entry.covers(place)]
    return max(covering, key=lambda entry: entry.private, default=None)


def why_refused(address: Address, *, private: bool = False) -> str:
    """Why nothing may be connected to `address`; empty when it may. See `Allowed.private`."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if inner is not None:
        return "an address inside another"
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "a link-local address"
    if is_member(address, _NEVER) or address.is_link_local or address.is_multicast:
        return "a link-local, metadata, multicast or reserved address"
    if is_member(address, _PRIVATE):
        return "" if private else "a private address"
    if isinstance(address, IPv4Address):
        return ""
    if is_member(address, _TUNNELS) or not is_member(address, (_GLOBAL_V6,)):
        return "a reserved address, or one with another inside"
    return ""


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, tail = text.partition("]")
        if not bracket or (tail and not tail.startswith(":")) or tail == ":":
            raise ArgumentError("host is not a name")
        return host + bracket, tail[1:]
    host, colon, port = text.partition(":")
    if colon and (not port or ":" in port):
        raise ArgumentError("is not `host:port`")
    return host, port


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
