"""The built-in Django server in the place of an upstream: walls, runner, engine, server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ostiary import VERSION
from ostiary.builtin import DjangoOptions
from ostiary.sandbox.django.runner import DjangoRunner
from ostiary.sandbox.django.settings import DjangoSettings
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.walls import Walls
from ostiary.servers.core.upstream import BuiltinUpstream
from ostiary.servers.django.packages import DjangoPackages
from ostiary.servers.django.server import make_server
from ostiary.servers.django.shell import Options, Shell
from ostiary.servers.runs import run_id, status_of
from ostiary.wiring.engine import EngineUpstream, giving_back, trouble
from ostiary.wiring.permits import Permits

WIRE = "management_execute_command"
BARE = "execute_command"


def start_django(
    options: DjangoOptions, environ: Mapping[str, str], clock: Callable[[], int], permits: Permits
) -> EngineUpstream:
    """Decide about the walls, and serve. Raises OstiaryError when the isolation cannot be had."""
    if options.cache_dir is not None:
        environ = {**environ, "OSTIARY_CACHE_DIR": str(Path(options.cache_dir).absolute())}
    found = probe(environ)
    walls = Walls.decide(options.isolation, found)
    settings = settings_of(options)
    runner = DjangoRunner(settings, walls, cache_folder(environ), environ)
    engine = Engine(runner, clock=clock, mint=run_id, on_trouble=trouble)
    names = {"bare": (BARE,), "prefixed": (WIRE,), "both": (BARE, WIRE)}[options.naming]
    shell = Shell(
        engine,
        settings,
        Options(extended=options.extended, timeout_ms=options.timeout_ms),
        lambda command: any(permits(name, {"command": command}) for name in names),
        runner.sealed,
    )
    server = make_server(
        shell,
        DjangoPackages(options.djangopackages, environ.get("SSL_CERT_FILE", "")),
        version=VERSION,
        naming=options.naming,
        status=lambda: status_of(engine, found.told),
    )
    upstream = BuiltinUpstream(server, ended=shell.connection_ended)
    return EngineUpstream(upstream, (engine,), giving_back(walls))


def settings_of(options: DjangoOptions) -> DjangoSettings:
    """What the runner is told, of what the command line said."""
    return DjangoSettings(
        settings=options.settings,
        project=Path(options.project),
        python=options.python,
        pythonpath=options.pythonpath,
        state=options.state,
        mode=options.mode,
        environment=options.environment,
        isolation=options.isolation,
        network=options.network,
        redact=options.redact,
    )
