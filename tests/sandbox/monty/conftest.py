"""Monty is an extra: without it these tests say so."""

from __future__ import annotations

import importlib.util

import pytest

from tests.needs import missing


@pytest.fixture(autouse=True)
def _installed() -> None:
    if importlib.util.find_spec("pydantic_monty") is None:
        missing("pydantic-monty, the extra `code`")
