"""A gate process that speaks TLS on both sides."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

from tests.http_cases.tls_world import echoed, secured, tls_gate
from tests.http_cases.world import called
from tests.proxy.certificates import Authority
from tests.weaknesses.world import until, within


def shown_serial(writer: asyncio.StreamWriter) -> int:
    found = writer.get_extra_info("ssl_object").getpeercert()
    return int(found["serialNumber"], 16)


def test_calls_go_through_tls_on_both_sides_and_through_a_change_of_the_certificate(tmp_path: Path) -> None:
    """HTTP case 23: an open connection goes on, a new one is shown the new certificate."""

    async def main() -> None:
        authority = Authority(tmp_path)
        old, new = authority.leaf("old"), authority.leaf("new")
        trusting = authority.client()
        async with secured(authority.leaf("upstream")) as upstream:
            with tls_gate(tmp_path, old, authority.file, upstream.port) as gate:
                reader, writer = await asyncio.open_connection("127.0.0.1", gate.port, ssl=trusting)
                assert shown_serial(writer) == old.serial
                for number in range(20):
                    assert await echoed(reader, writer, number)
                new.write(old.cert, old.key)
                serial = 0
                while serial != new.serial:
                    late, sending = await asyncio.open_connection("127.0.0.1", gate.port, ssl=trusting)
                    serial = shown_serial(sending)
                    assert await echoed(late, sending, serial % 1000)
                    sending.close()
                for number in range(20):
                    assert await echoed(reader, writer, number)
                writer.close()
                await until(lambda: "in force" in gate.told())

    within(main, 20)


def test_plain_client_at_a_gate_that_speaks_tls_is_not_served(tmp_path: Path) -> None:
    """HTTP case 23: nothing of its request is read as one, and the next client is served."""

    async def main() -> None:
        authority = Authority(tmp_path)
        async with secured(authority.leaf("upstream")) as upstream:
            with tls_gate(tmp_path, authority.leaf("gate"), authority.file, upstream.port) as gate:
                reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
                writer.write(called(1))
                with contextlib.suppress(ConnectionResetError):
                    assert b"HTTP/1.1 2" not in await reader.read()
                writer.close()
                assert upstream.seen == []
                trusting = authority.client()
                trusting.maximum_version = ssl.TLSVersion.TLSv1_2
                reader, writer = await asyncio.open_connection("127.0.0.1", gate.port, ssl=trusting)
                assert await echoed(reader, writer, 2)
                writer.close()

    within(main, 20)
