"""The official conformance suite, without the gate and through it: nothing may be lost.

Each test starts its server twice, once alone and once behind a gate, and runs one requirement set
against both. What differs must stand in `named.py`.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conformance.named import EXPECTED, EXPECTED_OF_CLIENTS
from tests.conformance.suite import (
    REVISIONS,
    Check,
    Named,
    Outcome,
    Results,
    against_server,
    compared,
    differences,
    faults,
    run,
)
from tests.e2e.world import ALLOW_ALL, OSTIARY, Gate, HttpServer, everything_over_http
from tests.needs import UNBRAKED, needs_node, needs_npm_modules, needs_npm_program

FIXTURE = [sys.executable, str(Path(__file__).parent / "fixture_server.py")]
Note = Callable[[str, object], None]
NO_TOKEN = "--unsafe-no-token"  # the suite sends none

pytestmark = [pytest.mark.service, pytest.mark.timeout(180)]


def fixture_over_http(log: Path) -> HttpServer:
    return HttpServer([*FIXTURE, "{port}"], log, lambda _: {})


def by_name(folder: Path) -> Path:
    """A policy that denies by default and allows each thing of the fixture by its name."""
    from tests.conformance.fixture_server import LISTED

    policy = {
        "version": "1",
        "default": "deny",
        "tools": {name: {} for name in LISTED},
        "resources": {"allow": ["test://**"]},
        "prompts": {"allow": ["test_*"]},
        "methods": {
            "allow": ["completion/complete", "sampling/createMessage", "elicitation/create", "roots/list"]
        },
    }
    written = folder / "policy.json"
    written.write_text(json.dumps(policy))
    return written


@pytest.fixture
def note(record_property: Note) -> Note:
    """Takes a line of the table, for `conftest.py`."""
    return record_property


@contextmanager
def served(target: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The URL of the server of `target`, and that of a gate in front of another one like it."""
    start: Callable[[Path], HttpServer] = fixture_over_http
    if target == "server-everything":
        start = everything_over_http
    policy = by_name(folder) if target.endswith("by name") else ALLOW_ALL
    with ExitStack() as ending:
        direct = start(folder / "direct.log")
        ending.callback(direct.stop)
        upstream: str | list[str] = FIXTURE
        if not target.endswith("standard streams"):
            behind = start(folder / "behind.log")
            ending.callback(behind.stop)
            upstream = behind.url
        gate = Gate(policy, folder, NO_TOKEN, *UNBRAKED, upstream=upstream)
        ending.callback(gate.stop)
        yield direct.url, gate.http.url


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("target", dict.fromkeys(target for target, _ in EXPECTED))
def test_every_check_ends_through_the_gate_as_without_it(
    target: str, revision: str, tmp_path: Path, note: Note
) -> None:
    needs_npm_program("conformance")
    with served(target, tmp_path) as urls, ThreadPoolExecutor(2) as pool:

        def both(number: int) -> tuple[Results, Results]:
            outs = [tmp_path / f"{side}-{number}" for side in ("direct", "through")]
            runs = [
                pool.submit(against_server, url, revision, out) for url, out in zip(urls, outs, strict=True)
            ]
            return runs[0].result(), runs[1].result()

        direct, through, found = compared(both, EXPECTED[target, revision])

    note("row", row(target, revision, direct, through))
    assert not found, "\n".join(found)
    if target.startswith("fixture"):  # what fails alone could not be lost: there must hardly be any
        failed = {check.key for check, one in direct.checks.items() if one.verdict in ("failed", "warned")}
        assert failed == set(EXPECTED["fixture", revision])


def client(how: str, revision: str, out: Path) -> Results:
    """The client scenarios of the suite, with our client alone or behind a gate of its own."""
    parts = [str(needs_node()), str(Path(__file__).parent / "client.mjs"), str(needs_npm_modules()), how]
    assert not any(" " in part for part in parts), "the suite splits the command at blanks"
    return run(["client", "--command", " ".join(parts), "--requirements", revision], out, within=90)


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_check_of_a_client_ends_through_the_gate_as_without_it(
    revision: str, tmp_path: Path, note: Note
) -> None:
    """The suite plays the server here; the gate stands between it and an official client."""
    command = [*OSTIARY, "proxy", "-p", str(ALLOW_ALL), NO_TOKEN, "--listen", "127.0.0.1:0"]
    gate = json.dumps({"command": command, "folder": str(tmp_path)}).encode()
    behind_it = base64.urlsafe_b64encode(gate).decode()

    def both(number: int) -> tuple[Results, Results]:
        direct = client("direct", revision, tmp_path / f"direct-{number}")
        return direct, client(behind_it, revision, tmp_path / f"through-{number}")

    direct, through, found = compared(both, EXPECTED_OF_CLIENTS[revision])

    note("row", row("(an official client)", revision, direct, through))
    assert not found, "\n".join(found)
    assert direct.count("failed") == 0
    scenarios = {check.scenario for check in through.checks}
    assert len(list(tmp_path.glob("state-*"))) >= len(scenarios), "not every scenario had a gate"


def row(target: str, revision: str, direct: Results, through: Results) -> tuple[str, ...]:
    """A line of the table that `make conformance` prints."""
    alone, gated = (f"{one.count('passed')}/{one.count('failed')}" for one in (direct, through))
    return (revision, target, alone, gated, str(len(differences(direct, through))))


def test_what_is_lost_or_newly_won_through_the_gate_is_a_fault() -> None:
    """The comparison itself, on results as the suite writes them."""
    lost, gone, won, old = (Check("scenario", name, "Name") for name in ("lost", "gone", "won", "old"))
    direct = Results({lost: Outcome("passed"), gone: Outcome("passed"), won: Outcome("failed")})
    through = Results({lost: Outcome("warned", "slow"), won: Outcome("passed"), old: Outcome("not judged")})

    found = faults(differences(direct, through), {"scenario/old": Named("failed -> passed", "an old one")})

    assert set(found.values()) == {
        "scenario/lost (Name): passed -> warned: slow",
        "scenario/gone (Name): passed -> not judged: ",
        "scenario/won (Name): failed -> passed: ",
        "scenario/old: named, but it no longer occurs",
    }
