"""Whose request it is when balancers stand in front of the listener.

`X-Forwarded-For` is believed only as far as it was written by proxies that the operator trusts:
read from the right, the first address that is not one of theirs. All before it is what that
peer says about itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from ostiary.proxy.exchange import Header

MAX_HOPS = 32
"""Most addresses looked at; more are not a chain of proxies."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Forwarded:
    """Finds the peer of a request behind the proxies in `trusted`. Without any it never looks."""

    __slots__ = ("_trusted",)

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def peer(self, peer: str, headers: Sequence[Header]) -> str:
        """The address a request came from, given the one it arrived from.

        Always an address: words such as `unknown` end the search at the proxy that wrote them.
        """
        if not self._trusted:
            return peer
        address = parse_address(peer)
        if address is None or not self._trusts(address):
            return peer
        entries = b",".join(value for name, value in headers if name == b"x-forwarded-for").split(b",")
        for entry in entries[: -MAX_HOPS - 1 : -1]:
            before = parse_address(entry.decode("latin-1"))
            if before is None:
                break
            address = before
            if not self._trusts(before):
                break
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def parse_address(text: str) -> Address | None:
    """An address, with or without port and brackets; IPv4 in IPv6 clothing is the IPv4 address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
