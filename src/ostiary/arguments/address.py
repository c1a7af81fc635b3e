"""IP addresses and networks."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ostiary.arguments.fault import ArgumentError
from ostiary.arguments.url import read_host_or_url

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_MAPPED = IPv6Network("::ffff:0:0/96")


def read_address(text: str) -> Address:
    """Return the address that `text` (an address, `address:port` or a URL) names.

    Raises:
        ArgumentError: when the host is a name: where it leads cannot be known here.
    """
    host = read_host_or_url(text)
    try:
        return ip_address(host)
    except ValueError as error:
        raise ArgumentError("host is a name, not an address") from error


def read_network(text: str) -> Network:
    """Read `10.0.0.0/8`, `::1/128` or a single address. Host bits must be zero.

    Raises:
        ArgumentError: when `text` is not a network.
    """
    try:
        network = ip_network(text, strict=True)
    except ValueError as error:
        raise ArgumentError("is not a network") from error
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        inner = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        return IPv4Network((inner, network.prefixlen - 96))
    return network


def is_member(address: Address, networks: tuple[Network, ...]) -> bool:
    """True when `address` lies in one of `networks`; families never mix."""
    return any(address.version == network.version and address in network for network in networks)
