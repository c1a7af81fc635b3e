"""Keeps a Django project warm, and hands out children of it. See `ostiary.sandbox.django`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ostiary.sandbox.django.settings import DjangoSettings
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import IsolationReport
from ostiary.sandbox.runner import Environment, Worker


class DjangoRunner:
    """Implements `sandbox.runner.Runner`. `environ` is what `settings.environment` is looked up in.

    `version` is `Django 5.2.8 (Python 3.11.7)` once it has started, and empty before. `cache` is the
    folder of `isolation.cache.cache_folder`.
    """

    name = "django"
    grace_ms = 1_000

    def __init__(
        self,
        settings: DjangoSettings,
        walls: Walls,
        cache: Path,
        environ: Mapping[str, str],
        *,
        warm: int = 1,
        most: int = 16,
    ) -> None:
        self.version = ""
        raise NotImplementedError

    async def start(self, on_trouble: Callable[[str], object]) -> None:
        """Load the project. Raises OstiaryError, with Django's own words where it does not load."""
        raise NotImplementedError

    def isolation(self) -> IsolationReport:
        """Behind which walls its workers run."""
        raise NotImplementedError

    async def worker(self, limits: Limits, environment: Environment) -> Worker:
        """A fresh child of the project as its files are now. Raises OstiaryError when none can be made."""
        raise NotImplementedError

    async def close(self) -> None:
        """End everything, and wait for it."""
        raise NotImplementedError
