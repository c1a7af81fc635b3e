"""Ways out of WebAssembly that are known to work, tried on the host, in a worker, and in a box alone.

On the host each of them succeeds: else the other two would prove nothing. A worker's runtime refuses
each; and the box holds each without the runtime's help, which is the wall that counts.
"""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.sandbox.record import Value
from ostiary.sandbox.runner import Ended
from tests.sandbox.pyodide.prepared import Prepared, run, run_alone, running, walls, working
from tests.sandbox.pyodide.unwalled import in_a_box, on_the_host

pytestmark = pytest.mark.timeout(180)

SECRET = "the-secret-of-the-host"

_PROGRAM = f"""
import js
from pyodide.ffi import to_js
run = js.process.getBuiltinModule("child_process").execFileSync
run("/bin/sh", to_js(["-c", "echo {SECRET}"]), encoding="utf8")
"""
_NODEFS = """
import pyodide_js
from pyodide.ffi import to_js
import js
pyodide_js.FS.mkdirTree("/mounted")
options = to_js({"root": FOLDER}, dict_converter=js.Object.fromEntries)
pyodide_js.FS.mount(pyodide_js.FS.filesystems.NODEFS, options, "/mounted")
open("/mounted/secret.txt").read()
"""

ESCAPES = {
    "environment through js": "import js; js.process.env.SECRET",
    "environment through a constructor": (
        "import pyodide_js; pyodide_js.constructor.constructor('return process')().env.SECRET"
    ),
    "environment through eval": "import js; js.eval('process.env.SECRET')",
    "environment through run_js": "from pyodide.code import run_js; run_js('process.env.SECRET')",
    "a program through js": _PROGRAM,
    "a file through js": (
        "import js; js.process.getBuiltinModule('fs').readFileSync(FOLDER + '/secret.txt', encoding='utf8')"
    ),
    "a file through a mount": _NODEFS,
    "a file through mountNodeFS": (
        "import pyodide_js; pyodide_js.mountNodeFS('/host', FOLDER); open('/host/secret.txt').read()"
    ),
    "the network through fetch": "import js; await (await js.fetch(URL)).text()",
    "the network through run_js": (
        "from pyodide.code import run_js; await run_js(f\"fetch('{URL}').then((r) => r.text())\")"
    ),
}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[list[str]]:
    """The escapes, made out for a file and a server of this host that hold the secret."""
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "secret.txt").chmod(0o644)

    class Telling(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SECRET.encode())

        def log_message(self, *told: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Telling) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        known = f"FOLDER = {str(tmp_path)!r}\nURL = 'http://127.0.0.1:{server.server_address[1]}/'\n"
        yield [known + code for code in ESCAPES.values()]
        server.shutdown()
        thread.join(5)


def named(said: list[str]) -> dict[str, str]:
    return {name: one.strip() for name, one in zip(ESCAPES, said, strict=True)}


def test_each_escape_succeeds_where_there_is_no_wall(here: Prepared, host: list[str]) -> None:
    said = on_the_host(here, host, {"PATH": "/usr/bin:/bin", "SECRET": SECRET})

    assert named(said) == dict.fromkeys(ESCAPES, SECRET)


def test_the_box_holds_each_escape_without_help_of_the_runtime(here: Prepared, host: list[str]) -> None:
    said = named(in_a_box(here, host, walls("strict", here.cache)))

    assert [name for name, one in said.items() if SECRET in one] == []
    reached = [one for name, one in said.items() if name.startswith("environment")]
    assert all(one == "undefined" or one.endswith("AttributeError: SECRET") for one in reached), reached
    others = [one[:5] for name, one in said.items() if not name.startswith("environment")]
    assert others == ["ERROR"] * 6


def test_the_runtime_refuses_each_escape_without_help_of_a_box(here: Prepared, host: list[str]) -> None:
    async def main() -> list[Ended]:
        async with running(here, "none") as runner, working(runner) as worker:
            return [(await run(worker, code))[0] for code in host]

    for name, ended in zip(ESCAPES, asyncio.run(main()), strict=True):
        assert ended.value is None, name
        assert ended.fault is not None, name
        assert SECRET not in ended.fault.message, name


def test_after_each_escape_the_next_call_works(here: Prepared, host: list[str]) -> None:
    async def main() -> tuple[list[Ended], Ended]:
        async with running(here, spares=1) as runner:
            async with working(runner) as worker:
                tried = [(await run(worker, code))[0] for code in host]
            return tried, (await run_alone(runner, "'next'"))[0]

    tried, after = asyncio.run(main())
    assert [ended for ended in tried if ended.value is not None] == []
    assert after.value == Value("next", '"next"')


def test_what_python_itself_could_ask_of_a_host_is_not_there(here: Prepared, tmp_path: Path) -> None:
    codes = {
        "open('/etc/passwd')": "FileNotFoundError",
        "import subprocess; subprocess.run(['id'])": "OSError",
        "import os; os.fork()": "OSError",
        "import socket; socket.create_connection(('127.0.0.1', 80))": "OSError",
        "import threading; threading.Thread(target=print).start()": "RuntimeError",
        f"open({str(tmp_path)!r} + '/new', 'w')": "FileNotFoundError",
    }

    async def main() -> list[Ended]:
        async with running(here) as runner, working(runner) as worker:
            return [(await run(worker, code))[0] for code in codes]

    for ended, kind in zip(asyncio.run(main()), codes.values(), strict=True):
        assert ended.fault is not None
        assert ended.fault.type == kind
