"""The Django server in processes of its own, and official clients in front of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.e2e.driver import Connection, Http, Json, Stdio
from tests.e2e.world import Process, state_folder, wait_for
from tests.needs import UNBRAKED
from tests.servers.python.world import OSTIARY, allowing, walled
from tests.tools.postgres import Postgres

SETTINGS = ("--settings", "bookshop.settings")


def over_stdio(folder: Path, project: Path, *options: str, env: dict[str, str] | None = None) -> Stdio:
    """The server as a client starts it, under a policy that allows everything where no other is given.

    `--default-policy` leaves the policy to the server.
    """
    folder.mkdir(exist_ok=True)
    words = [one for one in options if one != "--default-policy"]
    given = () if {"-p", "--default-policy"} & set(options) else ("-p", str(allowing(folder)))
    settings = () if "--settings" in options else SETTINGS
    command = [
        *OSTIARY, "run", "django", *settings, "--project", str(project),
        "--state-dir", str(state_folder(folder)), *given, *UNBRAKED, *words,
    ]  # fmt: skip
    return Stdio(command, folder / "log", {**walled(), **(env or {})})


def shop_on(server: Postgres, database: str) -> dict[str, str]:
    """The variables of a shop on PostgreSQL."""
    return {
        "DJANGO_SETTINGS_MODULE": "bookshop.postgresql",
        "BOOKSHOP_DB_NAME": database,
        "BOOKSHOP_DB_HOST": server.host,
        "BOOKSHOP_DB_PORT": str(server.port),
        "BOOKSHOP_DB_USER": "postgres",
    }


def structured(answer: Json) -> Any:
    """The data of a tool's answer."""
    assert "result" in answer, answer
    return answer["result"].get("structuredContent")


def texts(answer: Json) -> list[str]:
    """The blocks of text of a tool's answer."""
    return [block["text"] for block in answer["result"]["content"]]


class OverHttp(Process):
    """The server as a gate that listens on a free port of loopback."""

    def __init__(self, folder: Path, project: Path, *options: str) -> None:
        target = over_stdio(folder, project, *options, "--listen", "127.0.0.1:0")
        super().__init__(target.command, folder / "gate.log", target.env)
        wait_for("the gate's banner", lambda: self.ended() or "Ctrl-C" in self.told(), 15)
        found = re.search(r"URL +(https?://127\.0\.0\.1:(\d+)/mcp)", self.told())
        assert found, self.told()
        self.http = Http(found[1], (folder / "state/token").read_text(encoding="utf-8").strip())


class Client:
    """A connection, in the words of these tests."""

    def __init__(self, connection: Connection, prefix: bool = False) -> None:
        self.connection = connection
        self._execute = "shell_execute" if prefix else "execute"

    def execute(self, code: str, **more: Any) -> dict[str, Any]:
        """What some code came to: status, output, stdout, stderr."""
        answer = self.connection.call(self._execute, code=code, **more)
        assert answer["result"]["isError"] is False, answer
        return structured(answer)["result"]

    def value(self, code: str) -> Any:
        """The value of the last expression of some code that succeeds."""
        answer = self.connection.call(self._execute, code=code)
        assert structured(answer)["result"]["status"] == "success", answer
        return json.loads(run_of(answer)["result"]["json"])

    def raised(self, code: str) -> dict[str, Any]:
        """The exception of some code that fails."""
        told = self.execute(code)
        assert told["status"] == "error", told
        return told["output"]["exception"]

    def tool(self, name: str, /, **arguments: Any) -> Any:
        """The data of a tool's answer."""
        answer = self.connection.call(name, **arguments)
        assert answer["result"].get("isError") is not True, answer
        return structured(answer)

    def failing(self, name: str, /, **arguments: Any) -> str:
        """The words of a tool that fails."""
        answer = self.connection.call(name, **arguments)
        assert answer["result"]["isError"] is True, answer
        return "\n".join(texts(answer))

    def read(self, uri: str) -> Any:
        """The content of a resource that is JSON."""
        answer = self.connection.ask("resources/read", {"uri": uri})
        assert "result" in answer, answer
        [content] = answer["result"]["contents"]
        assert content["mimeType"] == "application/json"
        return json.loads(content["text"])


def run_of(answer: Json) -> dict[str, Any]:
    """The record that rides along with an answer."""
    return answer["result"]["_meta"]["io.ostiary/run"]
