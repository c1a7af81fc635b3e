"""One gate, put together from its options."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import sys
from collections.abc import Coroutine, Mapping
from typing import TypeVar

from ostiary import telemetry
from ostiary.identity.handles import Handles
from ostiary.policy.charges import Conceal
from ostiary.policy.compile import Compiled
from ostiary.proxy.banner import describe
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import Callback, Upstream
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.mint import Mint
from ostiary.proxy.network import upstream_limits
from ostiary.proxy.pin_watch import LockedPins
from ostiary.proxy.policy_file import Reloader, activate, read_policy
from ostiary.proxy.reload import Watch
from ostiary.proxy.sse.either import EitherUpstream
from ostiary.proxy.sse.upstream import SessionLimits, SseUpstream
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.settings import ProxyOptions
from ostiary.store.notice import EVERY
from ostiary.store.opening import open_store
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir, locate, open_state
from ostiary.store.stops import StopBoard
from ostiary.store.tick import TickJournal
from ostiary.wiring.asking import Asking
from ostiary.wiring.network import Network, prepare_network
from ostiary.wiring.permits import Permits, desk_permits
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
        unsafe_skip_tests=options.unsafe_skip_tests,
        conceal=conceal,
    )
    return content, compiled


async def _proxy(
    options: ProxyOptions,
    environ: Mapping[str, str],
    server: str,
    policy: tuple[bytes, Compiled] | None,
    state: StateDir,
    store: SqliteStore,
    network: Network,
) -> int:
    loop = asyncio.get_running_loop()
    child_gone = asyncio.Event()
    locked = LockedPins(state, server) if options.pins == "locked" else None  # before anything is started
    doubt = lambda: desk.catalogues.doubt()  # noqa: E731, PLW0108 - the desk comes later
    permits: Permits = lambda tool, arguments: desk_permits(desk, tool, arguments)  # noqa: E731 - the same
    upstream = _upstream(options, environ, store, child_gone, network, doubt, permits)
    journal, asking = TickJournal(store, loop), Asking(state, store)
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
        pins=locked.pins if locked is not None else None,
        track="" if options.listen else mint(),
        brake=options.max_requests,
        board=StopBoard(state),
        shelf=store.handles,
        headers_end_here=bool(options.command) or options.builtin is not None,
        approvals=asking.source,
    )
    asking.begin(desk, network.hook, options.grant)
    watches = _watches(loop, options, server, policy, desk, store, locked)
    banner = describe(options, server, desk.policy)
    store.instance.describe(banner.details())
    desk.note("started", banner.summary(), reasons=banner.unsafe)
    desk.stops.watch(EVERY)  # before anybody can call
    _rest_the_collector()
    try:
        if options.listen is not None:
            return await serve_http(options, options.listen, state, store, desk, banner, network)
        return await serve_stdio(options, desk, upstream, banner, child_gone)
    finally:
        for watch in watches:
            watch.close()
        await upstream.close()
        desk.stops.close()
        await asking.stop(desk)
        desk.brake.tell()
        desk.book.tasks.close()
        desk.note("stopped", "")
        await journal.close()
        asking.close()


def _rest_the_collector() -> None:
    """What is loaded by now stays: the collector need not walk through it again."""
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _upstream(
    options: ProxyOptions,
    environ: Mapping[str, str],
    store: SqliteStore,
    child_gone: asyncio.Event,
    network: Network,
    on_doubt: Callback,
    permits: Permits,
) -> Upstream:
    """What stands behind the gate: a server that comes with it, or one of somebody else's."""
    if options.builtin is None:
        return make_upstream(options, child_gone, network, on_doubt)
    from ostiary.wiring.builtin import start_builtin

    return start_builtin(options.builtin, environ, store.clock.now, permits)


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


def _watches(
    loop: asyncio.AbstractEventLoop,
    options: ProxyOptions,
    server: str,
    policy: tuple[bytes, Compiled] | None,
    desk: Desk,
    store: SqliteStore,
    locked: LockedPins | None,
) -> list[Watch]:
    """What notices that the policy or the pins have changed."""
    found: list[Watch] = []
    if options.policy is not None and policy is not None:
        reloader = Reloader(
            desk,
            file=options.policy,
            server=server,
            unsafe_monitor=options.unsafe_monitor,
            unsafe_skip_tests=options.unsafe_skip_tests,
            conceal=keyed(store.keys.audit),
        )
        found.append(Watch(loop, options.policy, policy[0], reloader))
    if locked is not None:
        found.append(locked.watch(loop, desk, store.clock.now))
        if locked.warning:
            print(f"ostiary: warning: {locked.warning}", file=sys.stderr)
    return found
