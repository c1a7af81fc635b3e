"""From a place to a connection: looked up once, judged, and exactly that address connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from ssl import SSLCertVerificationError, SSLContext

from ostiary.arguments.address import Address
from ostiary.sandbox.egress.head import Refused
from ostiary.sandbox.egress.places import Place, why_refused

MAX_ADDRESSES = 16
CHUNK = 65_536
TLS_CHUNK = 1 << 22
"""What may wait to be read: under uvloop a TLS stream that pauses can lose bytes at its end."""
LookUp = Callable[[str, int], Awaitable[list[str]]]


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of `host` as the system's resolver tells them, best first. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def judge(
    place: Place,
    *,
    private: bool = False,
    known: Iterable[Address] = (),
    find: LookUp = look_up,
) -> list[Address]:
    """Look `place` up, once. Every address must be fit, or none is used.

    A name with one fit address and one of this machine is how a filter is led astray. `private`
    is as in `why_refused`; addresses in `known` are fit in any case.

    Raises:
        Refused: 403 for an address that nothing may be connected to, 502 when there is none.
    """
    try:
        texts = await find(place.host, place.port)
        addresses = [ip_address(text) for text in texts[:MAX_ADDRESSES]]
    except (OSError, ValueError):
        raise Refused(502, f"{place.host} cannot be looked up") from None
    if not addresses:
        raise Refused(502, f"{place.host} has no address")
    fit = set(known)
    for address in addresses:
        reason = "" if address in fit else why_refused(address, private=private)
        if reason:
            raise Refused(403, f"{place.host} leads to {reason}, which may not be reached from here")
    return addresses


async def connect(
    place: Place, addresses: Iterable[Address], within_s: float, ssl: SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first of the judged addresses that answers; the name is not looked up again.

    With `ssl`, the certificate must be for the place's host.

    Raises:
        Refused: 504 when time runs out, 502 when none can be connected to.
    """
    try:
        async with asyncio.timeout(within_s):
            for address in addresses:
                try:
                    return await asyncio.open_connection(
                        str(address),
                        place.port,
                        ssl=ssl,
                        server_hostname=place.host if ssl is not None else None,
                        limit=CHUNK if ssl is None else TLS_CHUNK,
                    )
                except SSLCertVerificationError:
                    raise Refused(502, f"{place} shows a certificate that is not trusted") from None
                except OSError:  # SSLError is one, too
                    continue
    except TimeoutError:
        raise Refused(504, f"{place} did not answer in time") from None
    raise Refused(502, f"{place} cannot be connected to")
