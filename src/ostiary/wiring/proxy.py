"""One gate, put together from its options."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections.abc import Coroutine, Mapping
from typing import TypeVar

from ostiary import telemetry
from ostiary.proxy.banner import describe
from ostiary.proxy.exchange import Callback, Upstream
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.network import upstream_limits
from ostiary.proxy.sse.either import EitherUpstream
from ostiary.proxy.sse.upstream import SessionLimits, SseUpstream
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.settings import ProxyOptions
from ostiary.store.opening import open_store
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir, locate, open_state
from ostiary.wiring.network import Network, prepare_network
from ostiary.wiring.permits import Permits, desk_permits
from ostiary.wiring.premises import Policy, Premises, keyed, read_and_activate
from ostiary.wiring.serving import serve_http, serve_stdio

Result = TypeVar("Result")

COLLECT_AFTER = (10_000, 10, 10)
"""When the collector of reference cycles looks: calls leave none behind, so it need not look often."""


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
        return run(_proxy(options, environ, server, policy, state, store, network))
    finally:
        store.close()


def run(main: Coroutine[object, object, Result]) -> Result:
    """Run on uvloop where it is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def server_name(options: ProxyOptions) -> str:
    """A name for a server that was given none: a digest of what it is reached by."""
    if options.builtin is not None:
        return options.builtin.name
    return name_of(options.upstream if options.upstream is not None else "\0".join(options.command))


def name_of(reached_by: str) -> str:
    """The same for a URL, or for a command's words with a zero byte between them."""
    return "srv-" + hashlib.sha256(reached_by.encode("utf-8", "surrogatepass")).hexdigest()[:12]


async def _proxy(
    options: ProxyOptions,
    environ: Mapping[str, str],
    server: str,
    policy: Policy | None,
    state: StateDir,
    store: SqliteStore,
    network: Network,
) -> int:
    child_gone = asyncio.Event()
    premises = Premises(options, state, store, network.hook)
    locked = premises.pins(server)  # before anything is started
    doubt = lambda: post.desk.catalogues.doubt()  # noqa: E731, PLW0108 - the desk comes later
    permits: Permits = lambda tool, arguments: desk_permits(post.desk, tool, arguments)  # noqa: E731 - the same
    upstream = _upstream(premises, environ, child_gone, network, doubt, permits)
    post = premises.post(
        upstream,
        server,
        policy,
        locked,
        own_headers=options.headers,
        headers_end_here=bool(options.command) or options.builtin is not None,
    )
    banner = describe(options, server, post.desk.policy)
    store.instance.describe(banner.details())
    post.begin(banner.summary(), banner.unsafe)
    _rest_the_collector()
    try:
        if options.listen is not None:
            return await serve_http(options, options.listen, state, store, post.desk, banner, network)
        return await serve_stdio(options, post.desk, upstream, banner, child_gone)
    finally:
        await post.close()
        await premises.close()


def _rest_the_collector() -> None:
    """What is loaded by now stays: the collector need not walk through it again."""
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _upstream(
    premises: Premises,
    environ: Mapping[str, str],
    child_gone: asyncio.Event,
    network: Network,
    on_doubt: Callback,
    permits: Permits,
) -> Upstream:
    """What stands behind the gate: a server that comes with it, or one of somebody else's."""
    options = premises.options
    if options.builtin is None:
        return make_upstream(options, child_gone, network, on_doubt)
    from ostiary.wiring.builtin import start_builtin

    return start_builtin(options.builtin, environ, premises, permits)


def make_upstream(
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
