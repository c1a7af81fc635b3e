"""A server that comes with Ostiary in the place of an upstream: which one, by its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ostiary.proxy.exchange import Upstream
from ostiary.settings import Builtin, DjangoOptions, DockerOptions
from ostiary.wiring.permits import Permits


def start_builtin(
    options: Builtin, environ: Mapping[str, str], clock: Callable[[], int], permits: Permits
) -> Upstream:
    """Start it. Only the one that is asked for is loaded. Raises OstiaryError when it cannot run."""
    if isinstance(options, DjangoOptions):
        from ostiary.wiring.django import start_django

        return start_django(options, environ, clock, permits)
    if isinstance(options, DockerOptions):
        from ostiary.wiring.docker import start_docker

        return start_docker(options, environ, clock)
    from ostiary.wiring.python import start_python

    return start_python(options, environ, clock)
