"""Django's modules, by name and as late as possible: the project has to be set up first."""

from __future__ import annotations

import importlib
from typing import Any


def module(name: str) -> Any:
    """A module of the project or of its packages."""
    return importlib.import_module(name)


def settings() -> Any:
    """`django.conf.settings`."""
    return module("django.conf").settings
