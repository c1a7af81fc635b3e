"""What is somebody's does not exist for anybody else, by whatever name or id it is asked for."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.run import Underway
from tests.escapes.tier import Tier
from tests.escapes.world import WAIT_S, everything


@pytest.fixture
def kept(walled: Tier) -> Iterator[tuple[Tier, RunRecord, str]]:
    """A session of `ana` with a secret in it, which is also in an artifact, and its record."""
    secret = secrets.token_hex(16)
    code = f"kept = '{secret}'\nopen('out/kept', 'w').write(kept)\nkept"
    yield walled, walled.run(code, session="plan"), secret
    walled.end_session("plan")


def test_a_session_of_the_same_name_is_another_one(kept: tuple[Tier, RunRecord, str]) -> None:
    walled, _, secret = kept

    record = walled.run("print(globals())\nprint(open('out/kept').read())", "ben", session="plan")
    walled.end_session("plan", "ben")

    assert secret not in everything(record)
    assert walled.run("kept", session="plan").result is not None


def test_a_session_cannot_be_looked_at_or_ended_by_its_name(kept: tuple[Tier, RunRecord, str]) -> None:
    walled, _, secret = kept
    engine = walled.engine

    assert walled.ask(lambda: engine.history("ben", "plan")) is None
    assert walled.ask(lambda: engine.sessions("ben")) == ()
    assert not walled.end_session("plan", "ben")
    assert walled.ask(lambda: engine.history("ana", "plan")) is not None
    told = walled.run("kept", session="plan").result
    assert told is not None
    assert told.text == secret


def test_a_run_and_its_artifacts_cannot_be_had_by_its_id(kept: tuple[Tier, RunRecord, str]) -> None:
    walled, record, secret = kept
    engine = walled.engine

    assert walled.ask(lambda: engine.record("ben", record.run_id)) is None
    assert walled.ask(lambda: engine.status("ben", record.run_id)) is None
    assert all(secret not in everything(one) for one in walled.ask(lambda: engine.records("ben")))
    found = walled.ask(lambda: engine.record("ana", record.run_id))
    assert found is not None
    assert [one.content.decode() for one in found.artifacts] == [secret]


def test_a_run_under_way_cannot_be_ended_by_its_id(walled: Tier) -> None:
    engine = walled.engine
    request = RunRequest(code="import signal\nsignal.pause()", owner="ana")

    async def tried() -> tuple[bool, tuple[Underway, ...], bool]:
        run_id = engine.start(request)
        ben = engine.cancel("ben", run_id), engine.underway("ben")
        ana = engine.cancel("ana", run_id)
        await asyncio.wait_for(engine.ended("ana", run_id), WAIT_S)
        return *ben, ana

    assert walled.loop.run(tried()) == (False, (), True)


def test_code_is_not_told_what_would_name_a_run(kept: tuple[Tier, RunRecord, str]) -> None:
    walled, record, _ = kept
    look = """
import gc, os, sys
print(dict(os.environ), sys.argv, [one for one in gc.get_objects() if type(one) is dict])
"""

    assert record.run_id not in everything(walled.run(look))
