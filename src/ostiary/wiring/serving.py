"""Serving clients until the end: over HTTP, or the one on standard streams."""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path

from ostiary.errors import CallerFault
from ostiary.identity.grant import Grant, Tokens
from ostiary.proxy.banner import Banner, bound_url, http_banner
from ostiary.proxy.desk import Desk
from ostiary.proxy.door import LOOPBACK_HOSTS, Door, check_head
from ostiary.proxy.exchange import Upstream
from ostiary.proxy.forwarded import Forwarded
from ostiary.proxy.gate import Gate
from ostiary.proxy.http.server import HttpServer
from ostiary.proxy.network import listener_limits
from ostiary.proxy.renewed import session_renewed
from ostiary.proxy.sse.downstream import SseDownstream
from ostiary.proxy.sse.listener import SseLimits
from ostiary.proxy.stdio.downstream import StdioDownstream, claim_standard_streams
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.settings import Listen, ProxyOptions
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir, read_private
from ostiary.wiring.network import Network

LAST_SECONDS = 2.0
"""What requests get at least at the end, if others have used up the time to drain."""


async def serve_http(
    options: ProxyOptions,
    listen: Listen,
    state: StateDir,
    store: SqliteStore,
    desk: Desk,
    banner: Banner,
    network: Network,
) -> int:
    """Serve MCP at /mcp until a signal; a second signal ends at once."""
    tokens, token_file = _tokens(options, listen, state, Grant.named(options.grant))
    public = options.public_url
    door = Door(tokens, allowed_hosts=options.allowed_hosts, bound_host=listen.host, public=public)
    clients = SseDownstream(
        Gate(desk, None, max_body=options.bounds.body),
        desk.streams,
        prefix=public.prefix if public else "",
        limits=SseLimits.within(network.clients),
        renewed=partial(session_renewed, desk),
    )
    server = HttpServer(
        clients,
        check_head=check_head(door, lambda: store.healthy, Forwarded(options.trusted_proxies)),
        limits=listener_limits(options.bounds, network.clients),
    )
    host, port = await server.listen(listen.host, listen.port, ssl_context=network.listener_tls)
    watch = network.watch(desk.note) if network.watch is not None else None
    store.instance.describe({"listen": f"{host}:{port}"})
    bound = bound_url(host, port, tls=network.listener_tls is not None)
    print(http_banner(banner, bound, token_file, public=public), file=sys.stderr, flush=True)
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    await stopping.wait()
    print("ostiary: draining", file=sys.stderr, flush=True)
    if watch is not None:
        watch.close()
    await _drain(clients, server, options.bounds.drain)
    return 0


async def _drain(clients: SseDownstream, server: HttpServer, seconds: float) -> None:
    """First what is answered on event streams, for which POSTs must still come in; then the rest.

    Who came meanwhile is given at least a moment.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    await clients.close(seconds)
    await server.close(max(seconds - (loop.time() - began), min(seconds, LAST_SECONDS)))


async def serve_stdio(
    options: ProxyOptions, desk: Desk, upstream: Upstream, banner: Banner, child_gone: asyncio.Event
) -> int:
    """Serve the one client on standard input and output; return the child's exit status."""
    print(banner.summary(), file=sys.stderr, flush=True)
    child = upstream if isinstance(upstream, StdioUpstream) else None
    reading, writing = claim_standard_streams()
    downstream = StdioDownstream(
        Gate(desk, Grant.named(options.grant), max_body=options.bounds.body),
        reading=reading,
        writing=writing,
        on_signal=child.signal if child is not None else None,
        renewed=partial(session_renewed, desk, options.grant),
    )
    desk.changes.serve_local(options.grant, downstream.tell)
    watching = asyncio.create_task(_stop_with_child(downstream, child_gone))  # noqa: TID251 - ended below
    await downstream.run()
    watching.cancel()
    await upstream.close()
    return (child.status or 0) if child is not None else 0


async def _stop_with_child(downstream: StdioDownstream, child_gone: asyncio.Event) -> None:
    await child_gone.wait()
    downstream.stop()


def _tokens(
    options: ProxyOptions, listen: Listen, state: StateDir, grant: Grant
) -> tuple[Tokens, Path | None]:
    if options.unsafe_no_token:
        if listen.host not in LOOPBACK_HOSTS and not listen.host.startswith("127."):
            raise CallerFault(
                f"--unsafe-no-token is for loopback only, and `{listen.host}` can be reached from outside",
                hint="leave it out: a token is then made and its file is printed",
            )
        return Tokens(anonymous=grant), None
    if options.token_file is not None:
        token = read_private(options.token_file).decode("ascii", "replace").strip()
        if len(token) < 16:  # noqa: PLR2004 - below this a token can be guessed
            raise CallerFault(f"the token in `{options.token_file}` is too short", hint="use 32 random bytes")
        return Tokens.single(token, grant), options.token_file
    return Tokens.single(state.token(), grant), state.token_file


def _stop_on_signals(stopping: asyncio.Event) -> None:
    """The first SIGTERM, SIGINT or SIGHUP stops gracefully; the next one kills."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def stop() -> None:
        stopping.set()
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)  # not an exception: that would end gracefully again

    for number in signals:
        loop.add_signal_handler(number, stop)
