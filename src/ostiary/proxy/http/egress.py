"""Which way leads to the upstream: straight, or through the operator's egress proxy.

Pure: the environment comes in as an argument. The variables are those of curl. `HTTP_PROXY` in
upper case is not read, because a CGI server sets it from a client's `Proxy:` header.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from ostiary.errors import CallerFault

MAX_ENTRIES = 1000
"""Most entries of NO_PROXY that are read."""

_SEPARATOR = re.compile(r"[,\s]+")
_PORT = re.compile(r"[0-9]{1,5}")


class EgressProxy(msgspec.Struct, frozen=True):
    """A forward proxy. `authorization` is the value of `Proxy-Authorization`, or empty."""

    host: str
    port: int
    authorization: bytes = b""

    def __repr__(self) -> str:
        """Without the credentials: a repr ends up in logs."""
        return f"EgressProxy({self.host!r}, {self.port})"


def egress_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> EgressProxy | None:
    """The proxy on the way to an upstream, or None for a direct connection.

    Loopback is never proxied: a proxy would look for the server on its own machine. Raises
    CallerFault for a variable that cannot be understood, since going direct instead could pass
    by a control that the operator relies on.
    """
    if is_loopback(host):
        return None
    names = ("https_proxy", "HTTPS_PROXY") if scheme == "https" else ("http_proxy",)
    name, url = _first(environ, (*names, "all_proxy", "ALL_PROXY"))
    if not url:
        return None
    _, exceptions = _first(environ, ("no_proxy", "NO_PROXY"))
    if excepted(host, port, exceptions):
        return None
    return _read(name, url)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """Name and value of the first variable that is set; an empty one counts, and means none."""
    for name in names:
        if name in environ:
            return name, environ[name].strip()
    return "", ""


def _read(name: str, url: str) -> EgressProxy:
    """Read the value of a proxy variable. Credentials in it never appear in what is raised."""
    parts = None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts is None or not host or not host.isascii() or not host.isprintable() or " " in host:
        raise CallerFault(
            f"`{name}` is not the URL of a proxy", hint="for example http://proxy.example.org:3128"
        )
    if parts.scheme != "http":
        raise CallerFault(
            f"`{name}`: a proxy is spoken to over `http://`, not `{parts.scheme[:16]}://`",
            hint="https:// upstreams are reached through it by CONNECT, so nothing of a call is in the clear",
        )
    authorization = b""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        authorization = b"Basic " + base64.b64encode(pair)
    return EgressProxy(host, port or 80, authorization)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its name or address."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def excepted(host: str, port: int, exceptions: str) -> bool:
    """Whether NO_PROXY names an upstream.

    Entries are separated by commas or spaces: `*`; a name, which stands for all names below it,
    too; an address; a network such as `10.0.0.0/8`; each but the last with `:PORT` if need be.
    Names are never resolved to compare them with a network.
    """
    name = host.lower().rstrip(".")
    address = _address(name)
    entries = [entry for entry in _SEPARATOR.split(exceptions.lower()) if entry][:MAX_ENTRIES]
    return any(_matches(entry, name, address, port) for entry in entries)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _matches(entry: str, name: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _in_network(address, entry)
    host, wanted = _split_port(entry)
    if wanted is not None and wanted != port:
        return False
    literal = _address(host)
    if literal is not None or address is not None:
        return literal is not None and literal == address
    host = host.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(host) and (name == host or name.endswith(f".{host}"))


def _split_port(entry: str) -> tuple[str, int | None]:
    """Host and port of `host`, `host:port`, `::1`, `[::1]` or `[::1]:port`."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, int(rest[1:]) if rest[:1] == ":" and _PORT.fullmatch(rest[1:]) else None
    host, colon, port = entry.rpartition(":")
    if colon and ":" not in host and _PORT.fullmatch(port):
        return host, int(port)
    return entry, None


def _in_network(address: _Address, entry: str) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _address(text: str) -> _Address | None:
    """An address literal; an IPv4 address in IPv6 clothing is the IPv4 address."""
    try:
        found = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
