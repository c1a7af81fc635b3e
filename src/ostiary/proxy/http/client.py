"""One HTTP upstream: a pool of connections that are kept, reused and doubted."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from urllib.parse import urlsplit

import msgspec

from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.proxy.exchange import Callback, Flow, Sink, UpstreamRequest, nothing
from ostiary.proxy.http.call import Call, UpstreamLimits, UpstreamLine, UpstreamSpans
from ostiary.proxy.http.dial import Way, dial
from ostiary.proxy.http.egress import EgressProxy
from ostiary.proxy.http.head import REQUEST_OURS, head_block
from ostiary.proxy.http.repeats import Allowance
from ostiary.proxy.http.sweep import Sweep, tick_for

__all__ = ["HttpUpstream", "UpstreamLimits"]

_METHODS = ("POST", "GET", "DELETE")
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "fd00:ec2::254")))
"""Metadata services that are not at a link-local address."""


class HttpUpstream:
    """Sends requests to the one URL it was made for. To be made inside a running event loop.

    Raises `GatewayFault` for a URL that is not absolute http or https, or that carries
    credentials or a fragment. `ssl_context` replaces the default one of an https URL. `proxy` is
    the egress proxy on the way. `on_doubt` is told when the server behind the URL may have been
    started anew: when it ended a connection of its own accord, or could not be reached.
    """

    def __init__(
        self,
        url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        limits: UpstreamLimits | None = None,
        proxy: EgressProxy | None = None,
        on_doubt: Callback = nothing,
    ) -> None:
        self._on_doubt = on_doubt
        self._loop = asyncio.get_running_loop()
        self.limits = limits = limits or UpstreamLimits()
        self.allowance = Allowance()
        address = read_address(url)
        tls = (ssl_context or ssl.create_default_context()) if address.secure else None
        self._way = Way(address.host, address.port, tls, proxy)
        self.name = address.authority
        self._address = address
        self._proxy = proxy
        self._starts = _starts(address, proxy)
        self.sweep = Sweep(
            self._loop,
            tick_for(limits.head_timeout, limits.body_timeout, limits.stream_timeout, limits.idle_timeout),
        )
        self.spans = UpstreamSpans(
            self.sweep.span(limits.head_timeout),
            self.sweep.span(limits.body_timeout),
            self.sweep.span(limits.stream_timeout),
            limits.idle_timeout,
        )
        self._idle: list[UpstreamLine] = []
        self._lines: set[UpstreamLine] = set()
        self._dials: dict[asyncio.Task[None], Call] = {}
        self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Send `request` and answer into `sink`, never from inside this call.

        Raises `GatewayFault` for a method or header that may not be sent.
        """
        data = self._bytes(request)
        call = Call(sink)
        idle = self._idle
        while idle:
            line = idle.pop()
            if line.fresh():
                line.run(call, data)
                return call
            self._on_doubt()
            line.discard()
        if len(self._lines) + len(self._dials) >= self.limits.connections:
            self._loop.call_soon(call.fail, self._fault("is busy: too many connections to it are open"))
            return call
        task = self._loop.create_task(self._dial(call, data, again=request.idempotent))
        self._dials[task] = call
        task.add_done_callback(self._dials.pop)
        return call

    def _bytes(self, request: UpstreamRequest) -> bytes:
        """The whole request as it goes out."""
        starts = self._starts if not request.target else self._starts_at(request.target)
        start = starts.get(request.method)
        if start is None:
            raise GatewayFault(f"the method `{request.method}` is never sent to an upstream")
        body = request.body
        if request.method == "POST" or body:
            last = b"content-length: %d\r\n\r\n%b" % (len(body), body)
        else:
            last = b"\r\n"
        return head_block(start, request.headers, REQUEST_OURS, last)

    def _starts_at(self, target: str) -> dict[str, bytes]:
        """The first lines of a request to another path of the same server."""
        if target[:1] != "/" or not _is_plain(target):
            raise GatewayFault("a request target must be a path of printable ascii without spaces")
        return _starts(msgspec.structs.replace(self._address, target=target), self._proxy)

    async def _dial(self, call: Call, data: bytes, *, again: bool) -> None:
        """Open a connection and send on it. Until then no byte has left."""
        line = UpstreamLine(self)
        try:
            await dial(self._loop, self._way, lambda: line, self.name, self.limits.connect_timeout)
        except UpstreamFault as error:
            self.lost(line)
            fault = error
        except asyncio.CancelledError:
            self.lost(line)  # given up just when it was made, it is not told of its end
            raise
        else:
            if call.sink is None:
                line.rest()
                return
            # After a handshake there may be something to read: session tickets (RFC 8446 4.6.1).
            if line.secured or line.fresh():
                line.run(call, data)
                return
            line.discard()
            fault = self._fault("closed the connection before anything was sent")
        if again and call.sink is not None and not self._closed:
            await self._dial(call, data, again=False)
            return
        self._on_doubt()
        call.fail(fault)

    def _fault(self, problem: str) -> UpstreamFault:
        return UpstreamFault(f"the upstream `{self.name}` {problem}", written=False)

    async def close(self) -> None:
        """Cut every connection; a running answer ends with a fault."""
        self._closed = True
        dials = dict(self._dials)
        for task in dials:
            task.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
        for call in dials.values():
            if call.line is None:
                call.fail(self._fault("was given up: the gate is stopping"))
        lines = list(self._lines)
        for line in lines:
            line.cut()
        await self._empty.wait()

    @property
    def idle(self) -> int:
        """How many kept connections wait for a request."""
        return len(self._idle)

    # For connections

    def opened(self, line: UpstreamLine) -> None:
        """Watch a new connection."""
        self._lines.add(line)
        self._empty.clear()
        self.sweep.add(line)

    def free(self, line: UpstreamLine) -> None:
        """Keep a connection for the next request."""
        if self._closed or len(self._idle) >= self.limits.idle_connections:
            line.discard()
        else:
            self._idle.append(line)

    def lost(self, line: UpstreamLine) -> None:
        """Forget a connection that is gone."""
        self._lines.discard(line)
        self.sweep.discard(line)
        if line in self._idle:
            self._idle.remove(line)
        if line.broken:
            self._on_doubt()
        if not self._lines:
            self._empty.set()


class Address(msgspec.Struct, frozen=True):
    """An upstream's URL in parts. `authority` is the Host header, `target` path and query."""

    host: str
    port: int
    secure: bool
    authority: str
    target: str


def _starts(address: Address, proxy: EgressProxy | None) -> dict[str, bytes]:
    """The first lines of a request, by method; absolute-form where a proxy reads them (RFC 9112 3.2.2)."""
    target, ours = address.target, b""
    if proxy is not None and not address.secure:
        target = f"http://{address.authority}{target}"
        if proxy.authorization:
            ours = b"proxy-authorization: " + proxy.authorization + b"\r\n"
    first = f"{target} HTTP/1.1\r\nhost: {address.authority}\r\naccept-encoding: identity\r\n".encode()
    return {method: b"%b %b%b" % (method.encode(), first, ours) for method in _METHODS}


def read_address(url: str) -> Address:
    """The parts of an upstream's URL. Raises GatewayFault for one that cannot be used."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # its words repeat what may be a credential
        raise GatewayFault(
            "the upstream url cannot be read", hint="for example https://tools.example.org/mcp"
        ) from None
    if parts.scheme not in ("http", "https") or not host:
        raise GatewayFault("the upstream url must start with `http://` or `https://` and name a host")
    if "@" in parts.netloc:
        raise GatewayFault(
            "the upstream url must not carry credentials", hint="give them as a header from a file"
        )
    if parts.fragment:
        raise GatewayFault("the upstream url must not have a fragment")
    if _is_of_the_machine(host):
        raise GatewayFault("the upstream url must not name a link-local or metadata address")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = target + parts.netloc
    if not _is_plain(sent):
        raise GatewayFault("the upstream url must be printable ascii without spaces")
    secure = parts.scheme == "https"
    return Address(host, port or (443 if secure else 80), secure, parts.netloc, target)


def _is_of_the_machine(host: str) -> bool:
    """Whether `host` is an address at which a cloud tells a machine its secrets. Names are not resolved."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_link_local or address in _METADATA


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
