"""A server that comes with Ostiary in the place of an upstream: which one, by its options."""

from __future__ import annotations

from collections.abc import Mapping

from ostiary.builtin import Builtin, CodeOptions, DjangoOptions, DockerOptions
from ostiary.proxy.exchange import Upstream
from ostiary.wiring.permits import Permits
from ostiary.wiring.premises import Premises


def start_builtin(
    options: Builtin, environ: Mapping[str, str], premises: Premises, permits: Permits
) -> Upstream:
    """Start it. Only the one that is asked for is loaded. Raises OstiaryError when it cannot run."""
    clock = premises.store.clock.now
    if isinstance(options, DjangoOptions):
        from ostiary.wiring.django import start_django

        return start_django(options, environ, clock, permits)
    if isinstance(options, DockerOptions):
        from ostiary.wiring.docker import start_docker

        return start_docker(options, environ, clock)
    if isinstance(options, CodeOptions):
        from ostiary.wiring.code import start_code

        return start_code(options, environ, premises)
    from ostiary.wiring.python import start_python

    return start_python(options, environ, clock)
