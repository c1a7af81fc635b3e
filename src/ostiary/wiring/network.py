"""The network side of a gate: certificates, egress proxy, room for connections."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Mapping

import msgspec

from ostiary.proxy.http.client import read_address
from ostiary.proxy.http.egress import EgressProxy, egress_for
from ostiary.proxy.network import make_room
from ostiary.proxy.reload import Watch
from ostiary.settings import ProxyOptions
from ostiary.wiring.webhook import Hook, prepare_hook


class Network(msgspec.Struct):
    """What the network side of a gate needs, read and checked before anything is started.

    `clients` and `upstream` are how many connections there is room for; `upstream_tls` and `proxy`
    are for the way to the upstream, `listener_tls` is for that of clients, and `watch` begins to
    exchange its certificate. `hook` is whom to tell of approvals.
    """

    clients: int
    upstream: int
    upstream_tls: ssl.SSLContext | None = None
    proxy: EgressProxy | None = None
    listener_tls: ssl.SSLContext | None = None
    watch: Callable[[Callable[..., None]], Watch] | None = None
    hook: Hook | None = None


def prepare_network(options: ProxyOptions, environ: Mapping[str, str], now: Callable[[], int]) -> Network:
    """Certificates, egress proxy and room for connections. Raises CallerFault for what cannot be used."""
    network = Network(options.bounds.connections, options.bounds.upstream_connections)
    warnings: list[str] = []
    network.hook = prepare_hook(options, environ, now)
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
