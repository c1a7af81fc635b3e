"""A server that comes with Ostiary in the place of an upstream: which one, by its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ostiary.proxy.exchange import Upstream
from ostiary.settings import Builtin


def start_builtin(options: Builtin, environ: Mapping[str, str], clock: Callable[[], int]) -> Upstream:
    """Start it. Only the one that is asked for is loaded. Raises OstiaryError when it cannot run."""
    from ostiary.wiring.python import start_python

    return start_python(options, environ, clock)
