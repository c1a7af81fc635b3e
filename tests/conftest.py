"""Shared by every test, and therefore nearly empty: a test holds its own world."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.needs import full_size, size
from tests.tools import engines

# No deadline: a busy machine says nothing about the code.
settings.register_profile(
    "ostiary",
    max_examples=size(small=100, full=5_000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ostiary")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the person at the keyboard has configured must not decide a test."""
    for name in os.environ:
        if name.startswith("OSTIARY_") and name != "OSTIARY_TEST_FULL":
            monkeypatch.delenv(name)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """An empty state folder, readable by the owner only, as the gate asks for."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave full-size tests to `make test-full`."""
    if full_size():
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="full size: run `make test-full`"))


def pytest_configure(config: pytest.Config) -> None:
    """Settle where the container engines of this session are; the first test that needs one starts it."""
    if not hasattr(config, "workerinput"):
        engines.begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End them, once all workers are done."""
    if not hasattr(session.config, "workerinput"):
        engines.end()
