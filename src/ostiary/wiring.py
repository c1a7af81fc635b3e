"""The composition root: the one module that knows which adapter backs each port."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import signal
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path

import msgspec

from ostiary import telemetry
from ostiary.errors import CallerFault
from ostiary.identity.grant import Grant, Tokens
from ostiary.identity.handles import Handles
from ostiary.policy.charges import Conceal
from ostiary.policy.compile import Compiled
from ostiary.proxy.banner import Banner, describe, http_banner
from ostiary.proxy.catalogue import Pins
from ostiary.proxy.desk import Desk
from ostiary.proxy.door import LOOPBACK_HOSTS, Door, check_head
from ostiary.proxy.exchange import Upstream
from ostiary.proxy.gate import Gate
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.http.server import HttpServer
from ostiary.proxy.mint import Mint
from ostiary.proxy.policy_file import Reloader, activate, read_policy
from ostiary.proxy.reload import Watch
from ostiary.proxy.stdio.downstream import StdioDownstream, claim_standard_streams
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.settings import Listen, ProxyOptions
from ostiary.store.opening import open_store
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir, locate, open_state, read_private
from ostiary.store.tick import TickJournal

DRAIN_SECONDS = 10.0


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
        return _run(_proxy(options, server, policy, state, store))
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


async def _proxy(
    options: ProxyOptions,
    server: str,
    policy: tuple[bytes, Compiled] | None,
    state: StateDir,
    store: SqliteStore,
) -> int:
    loop = asyncio.get_running_loop()
    child_gone = asyncio.Event()
    upstream = _upstream(options, child_gone)
    journal = TickJournal(store, loop)
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
        pins=_pins(state, server) if options.pins == "locked" else None,
        track="" if options.listen else mint(),
        brake=options.max_requests,
    )
    watch = _watch(loop, options, server, policy, desk, keyed(store.keys.audit))
    banner = describe(options, server, desk.policy)
    store.instance.describe(banner.details())
    desk.note("started", banner.summary(), reasons=banner.unsafe)
    gc.freeze()  # what is loaded by now stays: the collector need not walk through it again
    try:
        if options.listen is not None:
            return await _serve_http(options, options.listen, state, store, desk, banner)
        return await _serve_stdio(options, desk, upstream, banner, child_gone)
    finally:
        if watch is not None:
            watch.close()
        await upstream.close()
        desk.brake.tell()
        desk.note("stopped", "")
        await journal.close()


def _upstream(options: ProxyOptions, child_gone: asyncio.Event) -> Upstream:
    if options.upstream is not None:
        return HttpUpstream(options.upstream)
    upstream = StdioUpstream(
        Command(options.command), single=options.listen is None, on_exit=lambda _status: child_gone.set()
    )
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
) -> int:
    """Serve MCP at /mcp until a signal; a second signal ends at once."""
    grant = Grant.named(options.grant)
    tokens, token_file = _tokens(options, listen, state, grant)
    door = Door(tokens, allowed_hosts=options.allowed_hosts, bound_host=listen.host)
    server = HttpServer(Gate(desk, None), check_head=check_head(door, lambda: store.healthy))
    host, port = await server.listen(listen.host, listen.port)
    store.instance.describe({"listen": f"{host}:{port}"})
    print(http_banner(banner, host, port, token_file), file=sys.stderr, flush=True)
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    await stopping.wait()
    print("ostiary: draining", file=sys.stderr, flush=True)
    await server.close(DRAIN_SECONDS)
    return 0


async def _serve_stdio(
    options: ProxyOptions, desk: Desk, upstream: Upstream, banner: Banner, child_gone: asyncio.Event
) -> int:
    """Serve the one client on standard input and output; return the child's exit status."""
    print(banner.summary(), file=sys.stderr, flush=True)
    child = upstream if isinstance(upstream, StdioUpstream) else None
    reading, writing = claim_standard_streams()
    downstream = StdioDownstream(
        Gate(desk, Grant.named(options.grant)),
        reading=reading,
        writing=writing,
        on_signal=child.signal if child is not None else None,
    )
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
    """The first SIGTERM, SIGINT or SIGHUP stops gracefully; after it signals act as usual."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def stop() -> None:
        stopping.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, stop)
