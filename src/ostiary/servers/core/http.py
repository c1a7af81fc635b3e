"""A server on a port, without a gate in front: the gate's own listener and door."""

from __future__ import annotations

from collections.abc import Sequence

from ostiary.identity.grant import Tokens
from ostiary.proxy.door import Door, check_head
from ostiary.proxy.http.server import HttpServer, Limits
from ostiary.servers.core.endpoint import Endpoint


async def listen(
    endpoint: Endpoint,
    host: str,
    port: int,
    *,
    tokens: Tokens,
    allowed_hosts: Sequence[str] = (),
    limits: Limits | None = None,
) -> tuple[HttpServer, str]:
    """Serve `endpoint` at `/mcp`; returns the listener and its URL.

    Foreign Host and Origin headers are refused, and so is who has none of `tokens`. Whoever calls
    this closes the listener before the endpoint. Raises GatewayFault where the address cannot be used.
    """
    door = Door(tokens, allowed_hosts=allowed_hosts, bound_host=host)
    listener = HttpServer(endpoint, check_head=check_head(door, lambda: True), limits=limits)
    bound, number = await listener.listen(host, port)
    return listener, f"http://{bound}:{number}/mcp"
