"""The composition root: the one module that knows which adapter backs each port."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path

import msgspec

from ostiary import telemetry
from ostiary.errors import CallerFault
from ostiary.identity.grant import Grant, Tokens
from ostiary.identity.handles import Handles
from ostiary.policy.charges import Conceal
from ostiary.policy.compile import Compiled
from ostiary.proxy.banner import Banner, bound_url, describe, http_banner
from ostiary.proxy.catalogue import Pins
from ostiary.proxy.desk import Desk
from ostiary.proxy.door import LOOPBACK_HOSTS, Door, check_head
from ostiary.proxy.exchange import Callback, Upstream
from ostiary.proxy.forwarded import Forwarded
from ostiary.proxy.gate import Gate
from ostiary.proxy.http.client import HttpUpstream, read_address
from ostiary.proxy.http.egress import EgressProxy, egress_for
from ostiary.proxy.http.server import HttpServer
from ostiary.proxy.mint import Mint
from ostiary.proxy.network import listener_limits, make_room, upstream_limits
from ostiary.proxy.policy_file import Reloader, activate, read_policy
from ostiary.proxy.reload import Watch
from ostiary.proxy.renewed import session_renewed
from ostiary.proxy.sse.downstream import SseDownstream
from ostiary.proxy.sse.either import EitherUpstream
from ostiary.proxy.sse.listener import SseLimits
from ostiary.proxy.sse.upstream import SessionLimits, SseUpstream
from ostiary.proxy.stdio.downstream import StdioDownstream, claim_standard_streams
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.settings import Listen, ProxyOptions
from ostiary.store.opening import open_store
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir, locate, open_state, read_private
from ostiary.store.tick import TickJournal

COLLECT_AFTER = (10_000, 10, 10)
"""When the collector of reference cycles looks: calls leave none behind, so it need not look often."""

LAST_SECONDS = 2.0
"""What requests get at least at the end, if others have used up the time to drain."""


def run_proxy(options: ProxyOptions, environ: Mapping[str, str]) -> int:
    """Run one proxy until it is told to stop; return the exit status.

    Raises OstiaryError when it cannot run.
    """
    telemetry.configure(options.log_level)
    server = options.server or server_name(options)
    state = open_state(locate(options.state_dir, environ))
    store = open_store(state, durability=options.durability)
    try:
        policy = read_and_activate(options, server, keyed(store.keys.audit))
        network = prepare_network(options, environ, store.clock.now)
        return _run(_proxy(options, server, policy, state, store, network))
    finally:
        store.close()


def _run(main: Coroutine[object, object, int]) -> int:
    """Run on uvloop where it is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def server_name(options: ProxyOptions) -> str:
    """A name for a server that was given none: a digest of what it is reached by."""
    subject = options.upstream if options.upstream is not None else "\0".join(options.command)
    return "srv-" + hashlib.sha256(subject.encode()).hexdigest()[:12]


def keyed(key: bytes) -> Conceal:
    """What counter keys show of an argument value: a digest that only the key's holder can check."""
    return lambda text: hmac.digest(key, text.encode(), "sha256").hex()[:32]


def read_and_activate(options: ProxyOptions, server: str, conceal: Conceal) -> tuple[bytes, Compiled] | None:
    """The policy file's content and the compiled policy; None without a policy file."""
    if options.policy is None:
        return None
    content = read_policy(options.policy)
    compiled = activate(
        content,
        file=str(options.policy),
        server=server,
        unsafe_monitor=options.unsafe_monitor,
        conceal=conceal,
    )
    return content, compiled


class Network(msgspec.Struct):
    """What the network side of a gate needs, read and checked before anything is started.

    `clients` and `upstream` are how many connections there is room for; `upstream_tls` and `proxy`
    are for the way to the upstream, `listener_tls` is for that of clients, and `watch` begins to
    exchange its certificate.
    """

    clients: int
    upstream: int
    upstream_tls: ssl.SSLContext | None = None
    proxy: EgressProxy | None = None
    listener_tls: ssl.SSLContext | None = None
    watch: Callable[[Callable[..., None]], Watch] | None = None


def prepare_network(options: ProxyOptions, environ: Mapping[str, str], now: Callable[[], int]) -> Network:
    """Certificates, egress proxy and room for connections. Raises CallerFault for what cannot be used."""
    network = Network(options.bounds.connections, options.bounds.upstream_connections)
    warnings: list[str] = []
    if options.upstream is not None:
        address = read_address(options.upstream)
        scheme = "https" if address.secure else "http"
        network.proxy = egress_for(scheme, address.host, address.port, environ)
        if address.secure:
            from ostiary.proxy.tls import upstream_context

            network.upstream_tls, warnings = upstream_context(
                options.upstream_ca, options.upstream_pair, environ, now()
            )
    if options.tls is not None:
        from ostiary.proxy.tls import Certificate

        certificate = Certificate(options.tls, now)
        network.listener_tls, network.watch = certificate.context, certificate.watch
        warnings += certificate.warnings
    if options.listen is not None:
        network.clients, network.upstream, warning = make_room(options.bounds)
        warnings += [warning] if warning else []
    for warning in warnings:
        print(f"ostiary: warning: {warning}", file=sys.stderr)
    return network


async def _proxy(
    options: ProxyOptions,
    server: str,
    policy: tuple[bytes, Compiled] | None,
    state: StateDir,
    store: SqliteStore,
    network: Network,
) -> int:
    loop = asyncio.get_running_loop()
    child_gone = asyncio.Event()
    pins = _pins(state, server) if options.pins == "locked" else None  # before anything is started
    upstream = _upstream(
        options,
        child_gone,
        network,
        lambda: desk.catalogues.doubt(),  # noqa: PLW0108 - the desk comes later
    )
    journal = TickJournal(store, loop)
    store.handles.wake, store.handles.hurrying = journal.wake, journal.hurry
    mint = Mint(store.clock.now)
    desk = Desk(
        upstream=upstream,
        journal=journal,
        policy=policy[1] if policy else None,
        server=server,
        own_headers=options.headers,
        handles=Handles(store.keys.session),
        digest_key=store.keys.audit,
        mint=mint,
        clock=store.clock.now,
        pins=pins,
        track="" if options.listen else mint(),
        brake=options.max_requests,
        shelf=store.handles,
        headers_end_here=bool(options.command),
    )
    watch = _watch(loop, options, server, policy, desk, keyed(store.keys.audit))
    banner = describe(options, server, desk.policy)
    store.instance.describe(banner.details())
    desk.note("started", banner.summary(), reasons=banner.unsafe)
    gc.freeze()  # what is loaded by now stays: the collector need not walk through it again
    gc.set_threshold(*COLLECT_AFTER)
    try:
        if options.listen is not None:
            return await _serve_http(options, options.listen, state, store, desk, banner, network)
        return await _serve_stdio(options, desk, upstream, banner, child_gone)
    finally:
        if watch is not None:
            watch.close()
        await upstream.close()
        desk.brake.tell()
        desk.book.tasks.close()
        desk.note("stopped", "")
        await journal.close()


def _upstream(
    options: ProxyOptions, child_gone: asyncio.Event, network: Network, on_doubt: Callback
) -> Upstream:
    """`on_doubt` is told when the server may have been started anew."""
    if options.upstream is not None:
        limits = upstream_limits(options.bounds, network.upstream)
        http = HttpUpstream(
            options.upstream,
            ssl_context=network.upstream_tls,
            limits=limits,
            proxy=network.proxy,
            on_doubt=on_doubt,
        )
        if options.upstream_transport == "http":
            return http
        sessions = SessionLimits.within(limits.connections)
        sse = SseUpstream(http, options.upstream, session_limits=sessions)
        return sse if options.upstream_transport == "sse" else EitherUpstream(http, sse)
    upstream = StdioUpstream(
        Command(options.command), single=options.listen is None, on_exit=lambda _status: child_gone.set()
    )
    upstream.on_doubt = on_doubt
    upstream.start()
    return upstream


def _watch(
    loop: asyncio.AbstractEventLoop,
    options: ProxyOptions,
    server: str,
    policy: tuple[bytes, Compiled] | None,
    desk: Desk,
    conceal: Conceal,
) -> Watch | None:
    if options.policy is None or policy is None:
        return None
    reloader = Reloader(
        desk, file=options.policy, server=server, unsafe_monitor=options.unsafe_monitor, conceal=conceal
    )
    return Watch(loop, options.policy, policy[0], reloader)


async def _serve_http(
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


async def _serve_stdio(
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


def _pins(state: StateDir, server: str) -> Pins:
    """The pinned digests of `server`; nothing pinned means that every tool is held back."""
    path = state.pins / f"{server}.json"
    if not path.exists():
        raise CallerFault(f"--pins locked: nothing is pinned for `{server}`", hint=f"expected {path}")
    try:
        return Pins(msgspec.json.decode(path.read_bytes(), type=_PinFile).tools)
    except (OSError, msgspec.MsgspecError) as error:
        raise CallerFault(f"--pins locked: cannot read `{path}`: {error}") from error


class _PinFile(msgspec.Struct, frozen=True):
    """`<state>/pins/<server>.json`: definition digests by tool name."""

    tools: dict[str, str]


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
