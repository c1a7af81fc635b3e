"""What Django is told of the app."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_apps: Any = import_module("django.apps")  # Django has no types of its own


class OstiaryConfig(_apps.AppConfig):
    """It has no models. Its label is its own, since `django_app` could be anybody's."""

    name = "ostiary.django_app"
    label = "ostiary"
