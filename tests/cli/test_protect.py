"""`ostiary protect` and `unprotect`, typed: what they change and say, and what a client then starts."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from ostiary.cli import protect
from ostiary.errors import GatewayFault
from tests.cli.test_messages import ostiary

SERVER = Path(__file__).parent / "listing_server.py"
TOOLS = [
    {"name": name, "description": name, "inputSchema": {"type": "object"}} for name in ("fetch", "remove")
]
POLICY = '{"version": "1", "default": "deny", "tools": {"fetch": {}}}'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with a server that lists two tools and a policy that allows one."""
    (tmp_path / "policy.json").write_text(POLICY)
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    return tmp_path


def cursor(home: Path, **servers: object) -> Path:
    path = home / ".cursor/mcp.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("// mine\n" + json.dumps({"mcpServers": servers}, indent=3))
    return path


def listing(home: Path) -> dict[str, Any]:
    return {
        "command": sys.executable,
        "args": [str(SERVER), str(home / "tools.json")],
        "env": {"KEPT": "s3cret"},
    }


def read(path: Path) -> Any:
    return json.loads(path.read_text().removeprefix("// mine\n"))["mcpServers"]


async def listed(entry: dict[str, Any], home: Path) -> list[str]:
    """The tools that the official client finds behind an entry, started as a client starts it."""
    parameters = StdioServerParameters(
        command=entry["command"], args=entry["args"], env={**entry.get("env", {}), "HOME": str(home)}, cwd="/"
    )
    with (home / "stderr").open("w") as log:
        async with Client(stdio_client(parameters, errlog=log)) as client:
            return [tool.name for tool in (await client.list_tools()).tools]


def test_a_protected_server_is_started_by_the_official_client_and_shows_what_the_policy_allows(
    home: Path,
) -> None:
    path = cursor(home, files=listing(home))
    before = path.read_bytes()

    done = ostiary("protect", "cursor", "-p", "policy.json", cwd=home)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}:4: `files` goes through a gate now\n"
    entry = read(path)["files"]
    assert entry["env"] == {"KEPT": "s3cret"}
    assert asyncio.run(listed(listing(home), home)) == ["fetch", "remove"]
    assert asyncio.run(listed(entry, home)) == ["fetch"]
    back = ostiary("unprotect", "cursor", cwd=home)
    assert back.stdout == f"{path}:4: `files` is again what it was, byte for byte\n"
    assert (back.returncode, path.read_bytes()) == (0, before)


class _Remote(BaseHTTPRequestHandler):
    """An MCP server over HTTP that answers nobody without its token."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        about = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
        results = {
            "initialize": {**about, "serverInfo": {"name": "remote", "version": "1"}},
            "tools/list": {"tools": TOOLS},
        }
        body = {"jsonrpc": "2.0", "id": asked.get("id")}
        known = asked.get("method") in results
        body |= (
            {"result": results[asked["method"]]} if known else {"error": {"code": -32601, "message": "no"}}
        )
        if self.headers["Authorization"] != "Bearer s3cret":
            self.answer(401, b"")
        else:
            self.answer(200, json.dumps(body).encode()) if "id" in asked else self.answer(202, b"")

    def do_GET(self) -> None:
        self.answer(405, b"")

    def do_DELETE(self) -> None:
        self.answer(405, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def test_a_protected_address_is_reached_with_the_header_that_moved_into_the_environment(home: Path) -> None:
    remote = ThreadingHTTPServer(("127.0.0.1", 0), _Remote)
    with remote:
        Thread(target=remote.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{remote.server_port}/mcp"
        path = cursor(home, web={"url": url, "headers": {"Authorization": "Bearer s3cret"}})

        done = ostiary("protect", "cursor", "-p", "policy.json", cwd=home)
        entry = read(path)["web"]
        tools = asyncio.run(listed(entry, home))
        remote.shutdown()

    assert done.returncode == 0, done.stderr
    assert "s3cret" not in json.dumps(entry["args"])
    assert tools == ["fetch"]


def test_without_a_policy_every_call_is_denied_and_it_is_said_where_to_change_that(home: Path) -> None:
    path = cursor(home, files=listing(home))

    done = ostiary("protect", "cursor", cwd=home)

    own = home / ".local/state/ostiary/policies/cursor-files.json"
    assert done.returncode == 0
    assert "every call is DENIED until you allow it in\n" in done.stdout
    assert str(own) in done.stdout
    assert json.loads(own.read_text()) == {"version": "1", "default": "deny", "tools": {}}
    assert asyncio.run(listed(read(path)["files"], home)) == []
    own.write_text(POLICY)
    ostiary("unprotect", "cursor", cwd=home)
    ostiary("protect", "cursor", cwd=home)
    assert own.read_text() == POLICY  # what a person has written is not written over


def test_a_server_of_a_repository_has_no_part_in_what_a_server_of_its_name_is_allowed(home: Path) -> None:
    cursor(home, files=listing(home))
    ostiary("protect", "cursor", cwd=home)
    (home / ".local/state/ostiary/policies/cursor-files.json").write_text(POLICY)
    shared = home / "work/.cursor/mcp.json"
    shared.parent.mkdir(parents=True)
    shared.write_text(json.dumps({"mcpServers": {"files": listing(home)}}))

    done = ostiary("protect", "cursor", "--config", "work/.cursor/mcp.json", cwd=home)

    assert done.returncode == 0
    entry = read(shared)["files"]
    assert entry["args"][entry["args"].index("--server") + 1] != "files"
    assert asyncio.run(listed(entry, home)) == []


def test_a_gate_that_only_a_repository_names_is_not_taken_for_one(home: Path) -> None:
    work = home / "work"
    work.mkdir()
    gates = {"a": {"command": "./ostiary", "args": ["proxy"]}, "b": {"command": "ostiary", "args": ["run"]}}
    (work / ".mcp.json").write_text(json.dumps({"mcpServers": {**gates, "c": listing(home)}}))

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ostiary", *words], cwd=work, env={**os.environ, "HOME": str(home)},
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

    assert "3 servers, 0 through Ostiary" in typed("stack").stdout
    done = typed("protect", "claude-code", "--config", ".mcp.json")
    assert (done.returncode, done.stdout.count("was not put there from here")) == (1, 2)
    assert "`c` goes through a gate now" in done.stdout
    assert "`c` went through a gate before" in typed("protect", "claude-code", "--config", ".mcp.json").stdout
    assert "3 servers, 1 through Ostiary" in typed("stack").stdout


def test_the_mode_and_a_symbolic_link_stay_and_what_undoes_it_is_private(home: Path) -> None:
    path = cursor(
        home, web={"url": "https://t.example.org/mcp", "headers": {"Authorization": "Bearer s3cret"}}
    )
    real = home / "dotfiles.json"
    path.rename(real)
    path.symlink_to(real)
    real.chmod(0o640)

    done = ostiary("protect", "cursor", "-p", "policy.json", cwd=home)

    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert path.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert "s3cret" not in json.dumps(read(path)["web"]["args"])
    [kept] = (home / ".local/state/ostiary/protected").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "s3cret" in kept.read_text()
    assert [each.name for each in path.parent.iterdir()] == ["mcp.json"]
    ostiary("unprotect", "cursor", cwd=home)
    assert not kept.exists()


def test_a_dry_run_changes_nothing_at_all(home: Path) -> None:
    path = cursor(home, files=listing(home))
    before = path.read_bytes()

    done = ostiary("protect", "cursor", "--dry-run", cwd=home)

    assert done.returncode == 0
    assert done.stdout.startswith("nothing was changed; this is what would be done\n")
    assert "s3cret" not in done.stdout
    assert path.read_bytes() == before
    assert not (home / ".local").exists()


def test_twice_is_as_good_as_once(home: Path) -> None:
    path = cursor(home, files=listing(home))
    before = path.read_bytes()
    ostiary("protect", "cursor", "-p", "policy.json", cwd=home)
    once = path.read_bytes()

    again = ostiary("protect", "cursor", "-p", "policy.json", cwd=home)

    assert (again.returncode, path.read_bytes()) == (0, once)
    assert "`files` went through a gate before" in again.stdout
    ostiary("unprotect", "cursor", cwd=home)
    assert path.read_bytes() == before


def test_a_second_server_is_added_to_what_can_be_undone(home: Path) -> None:
    path = cursor(home, one=listing(home), two=listing(home))
    before = path.read_bytes()
    ostiary("protect", "cursor", "-p", "policy.json", "--server", "two", cwd=home)
    assert read(path)["one"] == listing(home)
    ostiary("protect", "cursor", "-p", "policy.json", cwd=home)

    one = ostiary("unprotect", "cursor", "--server", "one", cwd=home)
    assert one.returncode == 0
    assert read(path)["one"] == listing(home)
    assert read(path)["two"] != listing(home)

    ostiary("unprotect", "cursor", cwd=home)
    assert path.read_bytes() == before


def test_what_cannot_be_protected_is_told_and_counts(home: Path) -> None:
    path = cursor(home, files=listing(home), key={"url": "https://t.example.org/mcp?token=s3cret"})

    done = ostiary("protect", "cursor", "-p", "policy.json", cwd=home)

    assert done.returncode == 1
    assert "`key` LEFT as it is: its address holds a secret" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    assert read(path)["key"] == {"url": "https://t.example.org/mcp?token=s3cret"}


def test_a_file_of_the_repository_is_changed_only_by_name(home: Path) -> None:
    mine = cursor(home, files=listing(home))
    work = home / "work"
    deep = work / "src"
    deep.mkdir(parents=True)
    (work / ".git").mkdir()
    (work / ".cursor").mkdir()
    shared = mine.rename(work / ".cursor/mcp.json")
    mine = cursor(home, files=listing(home))
    before = shared.read_bytes()

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ostiary", *words], cwd=deep, env={**os.environ, "HOME": str(home)},
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

    done = typed("protect", "cursor", "-p", str(home / "policy.json"))
    assert (done.returncode, done.stderr) == (0, f"not touched: {shared}; --config changes it\n")
    assert shared.read_bytes() == before
    assert "ostiary" in mine.read_text()

    named = typed("protect", "cursor", "-p", str(home / "policy.json"), "--config", "../.cursor/mcp.json")
    assert (named.returncode, named.stderr) == (0, "")
    assert "ostiary" in shared.read_text()
    assert typed("unprotect", "cursor").returncode == 0  # both of them
    assert shared.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("protect", "cursr"), "`cursr` is no client that is known"),
        (("protect", "cursor", "-p", "none.json"), "there is no policy `none.json`"),
        (("protect", "cursor", "--server", "file"), "no server is called `file`"),
        (("protect", "zed"), "Zed has no configuration here"),
        (("protect", "zed", "--config", "none.json"), "there is no file `none.json`"),
        (("unprotect", "zed"), "no server of Zed was protected from here"),
        (("unprotect", "cursor"), "no server of Cursor was protected from here"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence(words: tuple[str, ...], message: str, home: Path) -> None:
    cursor(home, files=listing(home))

    done = ostiary(*words, cwd=home)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert "Traceback" not in done.stderr


def test_a_file_that_others_may_write_is_not_protected(home: Path) -> None:
    path = cursor(home, files=listing(home))
    path.chmod(0o666)

    done = ostiary("protect", "cursor", "-p", "policy.json", cwd=home)

    assert done.returncode == 2
    assert "can be written by every user" in done.stderr


def test_a_file_that_its_client_wrote_in_between_is_not_written_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cursor(home, files=listing(home))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(protect, "_save", lambda *_: path.write_text("{}"))

    with pytest.raises(GatewayFault, match="was written by somebody else just now"):
        protect.protect_client("cursor", policy=home / "policy.json")

    assert path.read_text() == "{}"
