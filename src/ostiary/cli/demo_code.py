"""The second half of `ostiary demo`: hostile code behind the walls of the built-in Python server."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from ostiary.cli.printable import printable
from ostiary.errors import GatewayFault

SECONDS: Final = 60
SHOWN: Final = 76
"""Characters of an answer that are shown."""

VARIABLE: Final = "DEMO_SECRET"
HUGE: Final = 64 << 30
THOUSAND: Final = "a thousand"
ENVIRONMENTS: Final = """\
import glob
for name in glob.glob("/proc/[0-9]*/environ"):
    try:
        print(open(name).read().replace(chr(0), " "))
    except OSError as error:
        print(error)
"""
PROCESSES: Final = f"""\
import os, time
for n in range(1000):
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
print({THOUSAND!r})
"""
LAST: Final = "print('still here')"


class Attempt(NamedTuple):
    """One piece of code, and whether it got what it wanted, seen from outside."""

    title: str
    code: str
    succeeded: Callable[[str], bool]


class Prey(NamedTuple):
    """What the code is after: a file, a variable, a listener and a process, each of them real."""

    secret: str
    file: Path
    listener: socket.socket
    victim: subprocess.Popen[bytes]

    def reached(self) -> bool:
        """Whether somebody has connected."""
        self.listener.setblocking(False)
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


def attempts(prey: Prey) -> list[Attempt]:
    """What is tried, each with the means of an ordinary program."""
    port, victim = prey.listener.getsockname()[1], prey.victim.pid

    def secret(text: str) -> bool:
        return prey.secret in text

    def reached(_: str) -> bool:
        return prey.reached()

    def killed(_: str) -> bool:
        return prey.victim.poll() is not None

    def all_started(text: str) -> bool:
        return THOUSAND in _printed(text)

    def filled(text: str) -> bool:
        return str(HUGE) in _printed(text)

    def went_on(text: str) -> bool:
        return "Execution timeout after" not in text

    return [
        Attempt("read a file of the host", f"print(open({str(prey.file)!r}).read())", secret),
        Attempt("read the gate's environment", f"import os\nprint(os.environ[{VARIABLE!r}])", secret),
        Attempt("read it from /proc", ENVIRONMENTS, secret),
        Attempt(
            "open a connection", f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)", reached
        ),
        Attempt("kill a process of the host", f"import os\nos.kill({victim}, 9)", killed),
        Attempt("start a thousand processes", PROCESSES, all_started),
        Attempt("fill the memory", f"print(len(bytearray({HUGE})))", filled),
        Attempt("never end", "while True: pass", went_on),
    ]


def _printed(told: str) -> str:
    """What the code printed, without a traceback, which quotes the code."""
    return told.split("Traceback", maxsplit=1)[0]


def show_containment(folder: Path) -> bool:
    """Try each, say what became of it, and whether all were contained and the next call worked."""
    secret = secrets.token_hex(8)
    file = folder / "secret.txt"
    file.write_text(secret, encoding="utf-8")
    file.chmod(0o644)
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            prey = Prey(secret, file, listener, victim)
            return asyncio.run(asyncio.wait_for(_conversation(folder / "python-state", prey), SECONDS))
        except TimeoutError as error:
            raise GatewayFault(f"the hostile half of the demo did not end within {SECONDS} s") from error
        finally:
            victim.kill()
            victim.wait()


async def _conversation(state: Path, prey: Prey) -> bool:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    command = ["-m", "ostiary", "run", "python", "--state-dir", str(state)]
    environment = {**os.environ, VARIABLE: prey.secret}
    server = StdioServerParameters(command=sys.executable, args=command, env=environment)
    good = True
    async with Client(stdio_client(server)) as client:
        for attempt in attempts(prey):
            told = await _told(client, attempt.code)
            contained = not attempt.succeeded(told)
            good = good and contained
            mark = "✓ contained" if contained else "✗ NOT CONTAINED"
            typer.echo(f"{mark}  {attempt.title:<28}  {printable(_last(told))}".rstrip())
        alive = (await _told(client, LAST)).strip() == "still here"
    typer.echo(f"{'✓' if alive else '✗'} the next call works")
    return good and alive


async def _told(client: Any, code: str) -> str:
    result = await client.call_tool("python_execute", {"code": code, "timeout": 4_000})
    return "\n".join(getattr(block, "text", "") for block in result.content)


def _last(told: str) -> str:
    """The line that says most: the last of a traceback, else the first."""
    lines = [line for line in told.splitlines() if line.strip()]
    if not lines:
        return ""
    chosen = lines[0] if lines[0].startswith("Python execution interrupted") else lines[-1]
    return chosen if len(chosen) <= SHOWN else chosen[: SHOWN - 2] + " …"
