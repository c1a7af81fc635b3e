"""The relay inside the sandbox: a port of its loopback is a socket of the host."""

from __future__ import annotations

import asyncio
import sys

from ostiary.sandbox.egress import relay
from tests.sandbox.egress.way import run, way

ASK = """
import os, socket, sys
host, port = sys.argv[1].split(":")
assert os.environ["WHERE"] == f"http://{sys.argv[1]}"
with socket.create_connection((host, int(port)), timeout=5) as client:
    client.sendall(b"CONNECT evil.example:443 HTTP/1.1\\r\\nHost: evil.example:443\\r\\n\\r\\n")
    client.shutdown(socket.SHUT_WR)
    sys.stdout.buffer.write(client.makefile("rb").read())
raise SystemExit(7)
"""


def test_a_program_behind_the_relay_speaks_with_the_proxy() -> None:
    async def main() -> None:
        async with way() as here:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", relay.__file__, str(here.path), "--",
                sys.executable, "-I", "-c", ASK, "{relay}",
                env={"WHERE": "http://{relay}"}, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, _ = await process.communicate()
            assert out.startswith(b"HTTP/1.1 403 ")
            assert process.returncode == 7

    run(main, 20)  # two interpreters start, one after the other


def test_a_signal_that_ends_the_program_is_told_as_a_shell_does() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    assert relay.main(["/nowhere", "--", sys.executable, "-c", program]) == 137
