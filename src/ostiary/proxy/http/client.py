"""One HTTP upstream: a pool of connections that are kept, reused and doubted."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.proxy.exchange import Flow, Sink, UpstreamRequest
from ostiary.proxy.http.call import Call, UpstreamLimits, UpstreamLine, UpstreamSpans
from ostiary.proxy.http.head import REQUEST_OURS, head_block
from ostiary.proxy.http.sweep import Sweep, tick_for

__all__ = ["HttpUpstream", "UpstreamLimits"]

_METHODS = ("POST", "GET", "DELETE")


class HttpUpstream:
    """Sends requests to the one URL it was made for. To be made inside a running event loop.

    Raises `GatewayFault` for a URL that is not absolute http or https, or that carries
    credentials or a fragment. `ssl_context` replaces the default one of an https URL.
    """

    def __init__(
        self, url: str, *, ssl_context: ssl.SSLContext | None = None, limits: UpstreamLimits | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.limits = limits = limits or UpstreamLimits()
        self._host, self._port, secure, authority, target = _parts(url)
        self._ssl = (ssl_context or ssl.create_default_context()) if secure else None
        self.name = authority
        first = f"{target} HTTP/1.1\r\nhost: {authority}\r\naccept-encoding: identity\r\n"
        self._starts = {method: f"{method} {first}".encode() for method in _METHODS}
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
            line.discard()
        task = self._loop.create_task(self._dial(call, data, again=request.idempotent))
        self._dials[task] = call
        task.add_done_callback(self._dials.pop)
        return call

    def _bytes(self, request: UpstreamRequest) -> bytes:
        """The whole request as it goes out."""
        start = self._starts.get(request.method)
        if start is None:
            raise GatewayFault(f"the method `{request.method}` is never sent to an upstream")
        body = request.body
        if request.method == "POST" or body:
            last = b"content-length: %d\r\n\r\n%b" % (len(body), body)
        else:
            last = b"\r\n"
        return head_block(start, request.headers, REQUEST_OURS, last)

    async def _dial(self, call: Call, data: bytes, *, again: bool) -> None:
        """Open a connection and send on it. Until then no byte has left."""
        try:
            async with asyncio.timeout(self.limits.connect_timeout):
                _, line = await self._loop.create_connection(
                    self._line, self._host, self._port, ssl=self._ssl
                )
        except TimeoutError:
            problem = "did not accept the connection in time"
        except OSError as error:
            problem = f"cannot be reached: {_reason(error)}"
        else:
            if call.sink is None:
                line.rest()
                return
            if line.fresh():
                line.run(call, data)
                return
            line.discard()
            problem = "closed the connection before anything was sent"
        if again and call.sink is not None and not self._closed:
            await self._dial(call, data, again=False)
            return
        call.fail(self._fault(problem))

    def _fault(self, problem: str) -> UpstreamFault:
        return UpstreamFault(f"the upstream `{self.name}` {problem}", written=False)

    def _line(self) -> UpstreamLine:
        return UpstreamLine(self)

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
        if not self._lines:
            self._empty.set()


def _parts(url: str) -> tuple[str, int, bool, str, str]:
    """Host, port, whether TLS is used, Host header and request target of an upstream's URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise GatewayFault(f"the upstream url cannot be read: {str(error).lower()}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise GatewayFault("the upstream url must start with `http://` or `https://` and name a host")
    if "@" in parts.netloc:
        raise GatewayFault(
            "the upstream url must not carry credentials", hint="give them as a header from a file"
        )
    if parts.fragment:
        raise GatewayFault("the upstream url must not have a fragment")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = target + parts.netloc
    if not sent.isascii() or not sent.isprintable() or " " in sent:
        raise GatewayFault("the upstream url must be printable ascii without spaces")
    secure = parts.scheme == "https"
    return host, port or (443 if secure else 80), secure, parts.netloc, target


def _reason(error: OSError) -> str:
    """The system's words for an error, without addresses."""
    return (error.strerror or str(error) or type(error).__name__).lower()
