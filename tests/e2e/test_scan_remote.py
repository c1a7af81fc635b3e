"""`ostiary scan` of a server over TLS, in one era and in the other: whom it trusts, and how it asks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import world
from tests.proxy.certificates import Authority

pytestmark = [pytest.mark.service, pytest.mark.timeout(60)]


class Served:
    """A gate that serves a server of both eras over TLS, and scans of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        leaf = self.authority.leaf()
        options = ["--tls-cert", str(leaf.cert), "--tls-key", str(leaf.key)]
        self.gate = world.Gate(world.ALLOW_ALL, folder, *options, upstream=world.MODERN)

    def scan(self, *options: str) -> tuple[int, Any, str]:
        """Status, the one server of the report, and what went to standard error."""
        command = [
            sys.executable,
            "-m",
            "ostiary",
            "scan",
            "--format",
            "json",
            "--upstream",
            self.gate.http.url,
        ]
        command += ["--header-env", "Authorization: Bearer GATE_TOKEN", *options]
        environment = world.environment({"GATE_TOKEN": self.gate.http.token})
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert self.gate.http.token not in done.stdout + done.stderr
        server = json.loads(done.stdout)["servers"][0] if done.stdout else None
        return done.returncode, server, done.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"))
    yield made
    assert made.gate.stop() == 0


@pytest.mark.parametrize(
    ("era", "revision"), [("modern", "2026-07-28"), ("auto", "2026-07-28"), ("legacy", "2025-11-25")]
)
def test_a_server_behind_an_authority_of_ones_own_is_asked_in_the_era_that_was_named(
    served: Served, era: str, revision: str
) -> None:
    status, server, told = served.scan("--upstream-ca", str(served.authority.file), "--era", era)

    assert (status, server["revision"]) == (0, revision), told
    assert "add" in [tool["name"] for tool in server["tools"]]


def test_a_server_whose_authority_is_not_trusted_is_not_scanned(served: Served, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    for options in ((), ("--upstream-ca", str(stranger.file))):
        status, server, told = served.scan(*options)

        assert (status, server["scanned"]) == (2, False)
        assert "certificate" in server["fault"]
        assert "could not be scanned" in told


def test_authorities_that_cannot_be_read_are_named(served: Served) -> None:
    status, server, _ = served.scan("--upstream-ca", "nowhere.pem")

    assert (status, server["scanned"]) == (2, False)
    assert server["fault"].startswith("--upstream-ca: cannot read `nowhere.pem`")


def test_a_server_without_the_era_that_was_named_is_not_scanned(tmp_path: Path) -> None:
    listing = Path(__file__).parents[1] / "cli/listing_server.py"
    (tmp_path / "tools.json").write_text("[]")
    command = [sys.executable, "-m", "ostiary", "scan", "--unsafe-no-isolation", "--format", "json"]
    said = {
        era: subprocess.run(
            [*command, "--era", era, "--", sys.executable, str(listing), "tools.json"],
            cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
        )
        for era in ("modern", "legacy")
    }  # fmt: skip

    assert {era: done.returncode for era, done in said.items()} == {"modern": 2, "legacy": 0}
    [server] = json.loads(said["modern"].stdout)["servers"]
    assert server["fault"].startswith("server/discover: ")
