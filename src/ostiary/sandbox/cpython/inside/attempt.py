"""The one place where somebody's code may raise anything at all and this program goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def attempt(call: Callable[[], T]) -> tuple[T, None] | tuple[None, BaseException]:
    """What `call` returns, or what it raises: also what no `except Exception` would catch."""
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001 - leaving and interrupting are answers of the code, too
        return None, error
