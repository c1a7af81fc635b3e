"""Answers about the project: its interpreter, settings, apps and models."""

from __future__ import annotations

import datetime as dt
import inspect
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ostiary.sandbox.django.inside.reach import module, settings
from ostiary.sandbox.django.inside.secrecy import Secrecy, pairs, several

_UNKNOWN = "unknown"
_MOST_DEPTH = 50


def project(secrecy: Secrecy) -> dict[str, Any]:
    """Which Python, and which Django with what."""
    told, apps = settings(), module("django.apps").apps
    return {
        "python": {
            "base_prefix": sys.base_prefix,
            "executable": sys.executable,
            "path": list(sys.path),
            "platform": sys.platform,
            "prefix": sys.prefix,
            "version_info": list(sys.version_info),
        },
        "django": {
            "apps": [one.name for one in apps.get_app_configs()],
            "auth_user_model": _user_model() if apps.is_installed("django.contrib.auth") else None,
            "base_dir": str(getattr(told, "BASE_DIR", Path.cwd())),
            "databases": {
                alias: {
                    "engine": str(one.get("ENGINE", "")),
                    "name": secrecy.shown(str(one.get("NAME", ""))),
                }
                for alias, one in told.DATABASES.items()
            },
            "debug": bool(told.DEBUG),
            "settings_module": os.environ.get("DJANGO_SETTINGS_MODULE", ""),
            "version": list(module("django").VERSION),
        },
    }


def _user_model() -> str:
    return _path_of(module("django.contrib.auth").get_user_model())


def _path_of(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__name__}"


def setting(key: str, secrecy: Secrecy) -> dict[str, Any]:
    """One setting. Raises AttributeError, as Django says it, for one that is not there."""
    if not key.isupper():
        raise AttributeError(f"no setting is called {key!r}: names of settings are in capitals")
    value = getattr(settings(), key)
    return {"key": key, "value": plain(secrecy.shown(value, key)), "value_type": type(value).__name__}


def plain(value: Any, depth: int = _MOST_DEPTH) -> Any:
    """A value as JSON can say it: what it has no form for is text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, type):
        return _path_of(value)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if depth and isinstance(value, Mapping):
        return {str(key): plain(one, depth - 1) for key, one in pairs(value)}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [plain(one, depth - 1) for one in several(value)]
    return str(value)


def apps() -> list[dict[str, Any]]:
    """Every installed app."""
    return [_app(one) for one in module("django.apps").apps.get_app_configs()]


def app(label: str) -> dict[str, Any]:
    """One of them. Raises LookupError."""
    return _app(module("django.apps").apps.get_app_config(label))


def _app(config: Any) -> dict[str, Any]:
    path = source_of(type(config))
    own = [one.__name__ for one in config.models.values() if not one._meta.auto_created]  # noqa: SLF001 - its public name
    return {
        "name": config.name,
        "label": config.label,
        "path": path if path == _UNKNOWN else str(Path(path).parent),
        "models": own,
    }


def models(include: list[str] | None, scope: str) -> list[dict[str, Any]]:
    """Models with their fields: those of the apps in `include`, else of the project or of all apps."""
    found: list[dict[str, Any]] = []
    for config in module("django.apps").apps.get_app_configs():
        taken = config.label in include if include is not None else scope == "all" or _is_own(config)
        if taken:
            found += [_model(one) for one in config.get_models()]
    return found


def model(label: str, name: str) -> dict[str, Any]:
    """One of them. Raises LookupError."""
    return _model(module("django.apps").apps.get_model(label, name))


def _model(kind: Any) -> dict[str, Any]:
    fields = kind._meta.fields  # noqa: SLF001 - its public name
    return {
        "model_class": kind.__name__,
        "import_path": _path_of(kind),
        "source_path": source_of(kind),
        "fields": {one.name: type(one).__name__ for one in fields},
    }


def _is_own(config: Any) -> bool:
    """Whether an app is the project's, and not one of an installed package."""
    path = source_of(config.module)
    if path == _UNKNOWN:
        return False
    installed = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")} | set(PACKAGES)
    return not any(Path(path).resolve().is_relative_to(folder) for folder in installed)


PACKAGES: list[str] = []
"""Where the project's interpreter has its packages; `warm` knows."""


def source_of(thing: Any) -> str:
    """The file that something was written in."""
    try:
        return inspect.getfile(thing)
    except (TypeError, OSError):
        return _UNKNOWN
