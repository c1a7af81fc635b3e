"""Secrets of code mode: what code can do with them, and all the ways in which it cannot read them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ostiary.builtin import CodeOptions
from tests.proxy.certificates import Authority
from tests.servers.code.https_server import Seen, https_server
from tests.servers.code.inside import SECONDS, Client, World, code_mode

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

TOKEN = "tok-7fA9/xy+Q2=zz-real"
KEY = "sign-me-with-0123456789-KEY"
FETCH = """
import json, ssl, urllib.request
def fetch(path, data=None, host=HOST, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"https://{host}{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers.items()), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, {}, error.read().decode()
"""


class Kept:
    """A world with secrets, and the server that one of them is for."""

    def __init__(self, world: World, first: Seen, second: Seen, folder: Path) -> None:
        self.world, self.first, self.second, self.folder = world, first, second, folder

    def client(self, grant: str = "local") -> Client:
        return self.world.client(grant)

    async def run(self, script: str, *secrets: str, grant: str = "local", **more: Any) -> dict[str, Any]:
        """What `executeCode` answers, for code that has HOST and OTHER."""
        given = {"HOST": self.first.host, "OTHER": self.second.host, **more.pop("input_vars", {})}
        return await self.client(grant).run(
            script, required_secrets=list(secrets), input_vars=given, timeout=60, **more
        )


@asynccontextmanager
async def kept(folder: Path, *, rules: str = "") -> AsyncIterator[Kept]:
    """Two hosts may be reached; `TOKEN` is for the first of them. `KEY` is a value, for the server Odd."""
    authority = Authority(folder)
    shown = authority.leaf()
    with https_server(shown) as first, https_server(shown) as second:
        file = folder / "secrets.toml"
        file.write_text(
            f"""
[secrets.TOKEN]
env = "THE_TOKEN"
hosts = ["{first.host}"]
grants = ["local"]
[secrets.KEY]
file = "{folder / "key"}"
mode = "value"
servers = ["Odd"]
grants = ["local"]
[secrets.LOCKED]
env = "THE_TOKEN"
mode = "value"
grants = ["local"]
[secrets.NOBODYS]
env = "THE_TOKEN"
hosts = ["{first.host}"]
grants = []
""",
            encoding="utf-8",
        )
        file.chmod(0o600)
        (folder / "key").write_text(KEY + "\n", encoding="utf-8")
        (folder / "key").chmod(0o600)
        more = CodeOptions(
            servers=folder,
            secrets=file,
            allow_hosts=(second.host,),
            hosts_ca=authority.file,
            unsafe_private_hosts=(first.host, second.host),
        )
        async with code_mode(folder, rules=rules, more=more, variables={"THE_TOKEN": TOKEN}) as world:
            yield Kept(world, first, second, folder)


def whole(found: Any) -> str:
    return json.dumps(found)


def bounded(work: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(SECONDS):
            await work

    asyncio.run(main())


def test_a_host_gets_the_value_and_the_code_its_placeholder_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            basic = "'Basic ' + base64.b64encode(('me:' + TOKEN).encode()).decode()"
            script = f"""{FETCH}
import base64
first = fetch("/echo", authorization="Bearer " + TOKEN)
second = fetch("/header", x_token=TOKEN)
third = fetch("/split", authorization={basic})
print(TOKEN)
[TOKEN, first, second, third]
"""
            data = await it.run(script, "TOKEN")
            assert data["success"], data
            placeholder, first, second, third = data["result"]
            got = [headers for _, headers, _ in it.first.requests]
            assert got[0]["authorization"] == f"Bearer {TOKEN}"
            assert got[1]["x-token"] == TOKEN
            assert base64.b64decode(got[2]["authorization"].split()[1]).decode() == f"me:{TOKEN}"
            assert json.loads(first[2])["authorization"] == f"Bearer {placeholder}"
            assert {name.lower(): value for name, value in second[1].items()}["x-back"] == placeholder
            inner = base64.b64encode(f"me:{TOKEN}".encode())[4:-4].decode()
            assert third[0] == 200
            assert inner not in third[2]
            assert len(placeholder) == 40
            assert placeholder not in TOKEN
            assert TOKEN not in whole(data)
            assert any("a placeholder" in note for note in data["notes"])
            again = await it.run("TOKEN", "TOKEN")
            assert again["result"] != placeholder
            assert again["engine"] == "cpython"

    bounded(main())


def test_a_placeholder_goes_nowhere_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            script = f"""{FETCH}
import base64, urllib.parse
packed = base64.b64encode(TOKEN.encode()).decode()
tries = [
    fetch("/echo", host=OTHER, authorization="Bearer " + TOKEN),
    fetch("/echo?key=" + TOKEN),
    fetch("/echo", data=TOKEN.encode()),
    fetch("/echo", x_packed=packed),
    fetch("/echo", host=OTHER, authorization="Basic " + base64.b64encode(("a:" + TOKEN).encode()).decode()),
]
try:
    fetch("/", host="example.org")
except OSError as error:
    tries.append(str(error))
try:
    mcp_Odd_told(text="x" + TOKEN)
except ToolError as error:
    tries.append(str(error))
fine = fetch("/echo", host=OTHER)
[tries, fine[0]]
"""
            data = await it.run(script, "TOKEN")
            assert data["success"], data
            tries, fine = data["result"]
            assert fine == 200
            assert [one[0] for one in tries[:5]] == [403] * 5
            assert "`TOKEN`" in tries[0][2]
            assert "403" in tries[5]
            assert "placeholder of `TOKEN`" in tries[6]
            assert it.first.requests == []
            assert len(it.second.requests) == 1
            assert [one for one in await it.world.rows() if one.parent] == []

    bounded(main())


def test_an_answer_that_cannot_be_looked_into_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            script = f"""{FETCH}
[fetch(path, authorization=TOKEN, range="bytes=0-9")[0] for path in ("/gzip", "/smuggle", "/echo")]
"""
            data = await it.run(script, "TOKEN")
            assert data["result"] == [502, 502, 200], data
            assert "range" not in it.first.requests[-1][1]
            assert it.first.requests[-1][1]["accept-encoding"] == "identity"
            assert TOKEN not in whole(data)

    bounded(main())


def test_code_that_speaks_to_the_proxy_by_hand_smuggles_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            script = """
import socket, ssl, os
def spoken(text, host=HOST):
    raw = socket.create_connection(("127.0.0.1", 3128), timeout=20)
    raw.sendall(f"CONNECT {host} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
    first = raw.recv(4096).split(b" ")[1]
    if first != b"200":
        return first.decode()
    with ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]).wrap_socket(
        raw, server_hostname="localhost"
    ) as inside:
        inside.sendall(text.replace("{host}", host).replace("{token}", TOKEN).encode())
        return inside.recv(4096).split(b" ")[1].decode()
head = "GET / HTTP/1.1\\r\\nHost: {host}\\r\\nx-token: {token}\\r\\n"
tries = [
    spoken(head + "Content-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n"),
    spoken(head + "\\r\\n" + head + "\\r\\n"),
    spoken(head.replace("{host}", OTHER) + "\\r\\n"),
    spoken(head + "Upgrade: websocket\\r\\nConnection: upgrade\\r\\n\\r\\n"),
    spoken(head + " folded: x\\r\\n\\r\\n"),
    spoken(head + "\\r\\n", host="127.0.0.1:22"),
]
outside = socket.socket()
outside.settimeout(2)
try:
    outside.connect(("192.0.2.1", 80))
    tries.append("out")
except OSError as error:
    tries.append("unreachable")
tries
"""
            data = await it.run(script, "TOKEN")
            assert data["result"] == ["400", "400", "400", "403", "400", "403", "unreachable"], data
            assert it.first.requests == []

    bounded(main())


ATTEMPTS = {
    "printed": "print(SECRET)",
    "printed in pieces": "import sys\nfor char in SECRET: sys.stdout.write(char); sys.stdout.flush()",
    "to stderr": "import sys\nsys.stderr.write(SECRET)",
    "as the value": "SECRET",
    "in a list": "[SECRET, {'a': SECRET}]",
    "its repr": "repr(SECRET)",
    "reversed": "SECRET[::-1]",
    "upper case": "SECRET.upper()",
    "hex": "SECRET.encode().hex()",
    "base64": "import base64\nbase64.b64encode(SECRET.encode()).decode()",
    "base64 behind one byte": "import base64\nbase64.b64encode(b'x' + SECRET.encode()).decode()",
    "base64 behind two": "import base64\nbase64.urlsafe_b64encode(b'xy' + SECRET.encode()).decode()",
    "percent": "import urllib.parse\nurllib.parse.quote(SECRET, safe='')",
    "JSON": "import json\njson.dumps({'a': SECRET})",
    "an error": "raise ValueError(SECRET)",
    "a key error": "{}[SECRET]",
    "the name of an error": "raise type(SECRET, (Exception,), {})()",
    "an output": "out = SECRET",
    "an exit": "raise SystemExit(SECRET)",
    "a failed cast": "int(SECRET)",
    "an artifact": "import os\nos.makedirs('out', exist_ok=True)\nopen('out/a.txt', 'w').write(SECRET)",
}
"""Ways in which code with the value could show it by accident, or by a form that is masked."""


def test_no_output_shows_a_value_in_a_form_that_is_masked(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            forms = (KEY, KEY[::-1], KEY.upper(), KEY.encode().hex(), KEY[4:-4])
            coded = [base64.b64encode(b"x" * n + KEY.encode()).decode()[4:-4] for n in range(3)]
            for name, attempt in ATTEMPTS.items():
                for line in ("", "import array\nclass A(ValueError): pass\n"):  # Monty, then CPython
                    data = await it.run(line + attempt.replace("SECRET", "KEY"), "KEY", output_vars=["out"])
                    shown = whole(data)
                    assert not any(form in shown for form in (*forms, *coded)), (name, data)
                    assert any("outputs are masked" in note for note in data.get("notes", [])), (name, data)
                    if name in {"printed", "an error"}:
                        assert "********" in shown, (name, data)
            rows = " ".join(map(repr, await it.world.rows()))
            assert KEY not in rows
            for path in (tmp_path / "state").rglob("*"):
                if path.is_file():
                    assert KEY.encode() not in path.read_bytes(), path

    bounded(main())


def test_a_value_goes_to_tools_of_its_servers_only_and_never_with_a_network(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            told = "mcp_Odd_told()\n'it went through'"
            allowed = await it.run(told, "KEY")
            refused = await it.run(told, "LOCKED")
            both = await it.client().ask(
                "executeCode", script="1", required_secrets=["KEY", "TOKEN"], timeout=60
            )
            network = await it.run(
                "import socket, array\nclass A(ValueError): pass\n"
                "socket.create_connection(('127.0.0.1', 3128), timeout=5)",
                "KEY",
            )
            assert allowed["result"] == "it went through", allowed
            assert "not for the server of mcp_Odd_told" in refused["error"]["message"]
            assert both.result is not None
            assert "no network" in json.dumps(both.result)
            assert network["success"] is False
            assert "not supported" in network["error"]["message"]

    bounded(main())


def test_names_are_all_that_a_grant_is_told_and_those_of_others_do_not_exist(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            mine = (await it.client().ask("getUserSecrets")).result
            theirs = (await it.client("other").ask("getUserSecrets")).result
            assert mine is not None
            assert theirs is not None
            content: Any = mine["structuredContent"]
            listed = content["secrets"]
            assert [one["name"] for one in listed] == ["TOKEN", "KEY", "LOCKED"]
            assert listed[0]["hosts"] == [it.first.host]
            assert TOKEN not in json.dumps(mine)
            assert theirs["structuredContent"] == {"secrets": []}
            for grant, name in (("other", "TOKEN"), ("local", "NOBODYS"), ("local", "TOKE")):
                answer = await it.client(grant).ask(
                    "executeCode", script="mcp_Odd_told()", required_secrets=[name], timeout=60
                )
                assert f"no secret `{name}`" in json.dumps(answer.result)
            assert [one for one in await it.world.rows() if one.parent] == []

    bounded(main())


SCAN = """
import glob, gc
def whole(data):
    # PART and REST are looked for side by side: put together here, they would be found here.
    at = data.find(PART.encode())
    while at >= 0:
        if data[at + len(PART) : at + len(PART) + len(REST)] == REST.encode():
            return True
        at = data.find(PART.encode(), at + 1)
    return False
found = set()
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/tmp/*"):
    try:
        with open(path, "rb") as file:
            found |= {path} if whole(file.read()) else set()
    except OSError:
        continue
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps.read().splitlines():
        start, end = (int(one, 16) for one in line.split()[0].split("-"))
        try:
            memory.seek(start)
            found |= {"memory"} if whole(memory.read(end - start)) else set()
        except (OSError, ValueError, OverflowError, MemoryError):
            continue
sorted(found)
"""


def test_nothing_in_the_machine_of_a_run_holds_the_value_behind_a_placeholder(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            used = f"{FETCH}\nassert fetch('/echo', authorization=TOKEN)[0] == 200\n{SCAN}"
            hidden = await it.run(used, "TOKEN", input_vars={"PART": TOKEN[:9], "REST": TOKEN[9:]})
            held = await it.run(SCAN, "KEY", input_vars={"PART": KEY[:9], "REST": KEY[9:]})
            assert hidden["result"] == [], hidden
            assert held["result"] == ["memory"], held  # so the search finds what is there
            for path in (tmp_path / "state").rglob("*"):
                if path.is_file():
                    assert TOKEN.encode() not in path.read_bytes(), path

    bounded(main())


def test_a_run_in_the_background_shows_no_value_either(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            client = it.client()
            begun = await client.ask("asyncExecuteCode", script="print(KEY)\nKEY", required_secrets=["KEY"])
            assert begun.result is not None
            run: Any = begun.result["structuredContent"]
            seen: dict[str, Any] = {}
            while seen.get("status") not in {"completed", "failed"}:
                told = await client.ask("checkCodeExecStatus", execution_id=run["execution_id"])
                assert told.result is not None
                standing: Any = told.result["structuredContent"]
                seen = standing
                assert KEY not in whole(told.result)
            assert seen["execution"]["stdout"] == "********\n"
            assert seen["execution"]["result"] == "********"
            read = await client.read(f"run://{run['execution_id']}/stdout")
            assert "********" in whole(read)
            assert KEY not in whole(read)

    bounded(main())


@pytest.mark.parametrize("library", ["httpx", "requests"])
def test_the_usual_clients_work_through_the_proxy(library: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            script = f"""
import {library}
answer = {library}.get(f"https://{{HOST}}/echo", headers={{"Authorization": f"Bearer {{TOKEN}}"}}, timeout=20)
posted = {library}.post(f"https://{{HOST}}/echo", json={{"a": 1}}, auth=("me", TOKEN), timeout=20)
[answer.json()["authorization"] == f"Bearer {{TOKEN}}", posted.status_code]
"""
            data = await it.run(script, "TOKEN", additional_imports=[library])
            assert data["result"] == [True, 200], data
            assert it.first.requests[0][1]["authorization"] == f"Bearer {TOKEN}"
            basic = it.first.requests[1][1]["authorization"].split()[1]
            assert base64.b64decode(basic).decode() == f"me:{TOKEN}"
            assert it.first.requests[1][2] == b'{"a":1}' or json.loads(it.first.requests[1][2]) == {"a": 1}

    bounded(main())
