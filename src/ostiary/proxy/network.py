"""The operator's bounds as the two sides of HTTP take them, and whether this process has room for them."""

from __future__ import annotations

from ostiary.limits import Bounds
from ostiary.proxy import descriptors
from ostiary.proxy.http.call import UpstreamLimits
from ostiary.proxy.http.request import Limits


def listener_limits(bounds: Bounds, connections: int | None = None) -> Limits:
    """What bounds the HTTP listener; `connections` is how many there is room for."""
    return Limits(
        body=bounds.body,
        head=bounds.head,
        headers=bounds.headers,
        target=bounds.target,
        queued=bounds.pipelined,
        connections=bounds.connections if connections is None else connections,
        head_timeout=bounds.head_timeout,
        body_timeout=bounds.body_timeout,
        idle_timeout=bounds.idle_timeout,
        linger_timeout=bounds.linger_timeout,
        peer_timeout=bounds.peer_timeout,
        tls_handshake_timeout=bounds.tls_handshake_timeout,
        write_buffer=bounds.write_buffer,
    )


def upstream_limits(bounds: Bounds, connections: int | None = None) -> UpstreamLimits:
    """What bounds the connections to an HTTP upstream."""
    return UpstreamLimits(
        head=bounds.upstream_head,
        headers=bounds.upstream_headers,
        connections=bounds.upstream_connections if connections is None else connections,
        idle_connections=bounds.upstream_idle,
        connect_timeout=bounds.upstream_connect_timeout,
        head_timeout=bounds.upstream_head_timeout,
        body_timeout=bounds.upstream_body_timeout,
        stream_timeout=bounds.upstream_stream_timeout,
        idle_timeout=bounds.upstream_idle_timeout,
        peer_timeout=bounds.peer_timeout,
    )


def make_room(bounds: Bounds) -> tuple[int, int, str]:
    """Raise the limit of descriptors to what `bounds` need.

    Returns how many connections of clients and to the upstream there is room for, and a warning
    if that is fewer than asked for.
    """
    wanted = descriptors.needed(bounds.connections, bounds.upstream_connections)
    limit = descriptors.raise_soft_limit(wanted)
    clients, upstream = descriptors.shared_out(limit, bounds.connections, bounds.upstream_connections)
    if limit >= wanted:
        return clients, upstream, ""
    warning = (
        f"`connections` and `upstream-connections` need {wanted} file descriptors, and this process may have "
        f"{limit}: it takes {clients} clients and {upstream} connections to the upstream at one time "
        "(raise the hard limit of `ulimit -n`, or lower both with --limit)"
    )
    return clients, upstream, warning
