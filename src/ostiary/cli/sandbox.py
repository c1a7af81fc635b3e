"""`ostiary sandbox`: make ready what runs of code need."""

from __future__ import annotations

import asyncio
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ostiary.cli.options import Format, FormatOption, StateOption, print_json
from ostiary.errors import CallerFault

app = typer.Typer(no_args_is_help=True, help="Make ready what runs of code need.")


class Engine(StrEnum):
    """What runs code."""

    cpython = "cpython"


@app.command("prepare", short_help="Fetch what an engine needs, so that no run has to.")
def prepare(
    engine: Annotated[Engine, typer.Option("--engine", help="For which engine.")] = Engine.cpython,
    python: Annotated[
        Path | None,
        typer.Option("--python", metavar="FILE", help="The interpreter of runs.", show_default=False),
    ] = None,
    index_url: Annotated[
        str | None,
        typer.Option("--index-url", metavar="URL", help="The package index.", show_default=False),
    ] = None,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Fetch what an engine needs, so that no run has to.

    Builds the file system that runs see, and fetches numpy, pandas, httpx and requests exactly as
    this version of Ostiary locks them. Only this step fetches them, and what is there already is
    left as it is.

    A password for the index belongs into OSTIARY_INDEX_URL, where other users do not see it.

    Exit status: 0 done, 2 could not run.
    """
    if index_url is not None and "@" in index_url:
        raise CallerFault(
            "--index-url must not carry credentials", hint="put the whole address into OSTIARY_INDEX_URL"
        )
    made = _prepare(engine, python or Path(sys.executable), index_url)
    if format_ is Format.json:
        print_json({"v": 1, "engine": engine.value, **made})
        return
    for missing in made["missing"]:
        typer.echo(f"without: {missing}", err=True)
    typer.echo(f"{len(made['packages'])} packages for Python {made['python']}: {made['folder']}")
    for package in made["packages"]:
        typer.echo(f"  {package}")


def _prepare(engine: Engine, python: Path, index_url: str | None) -> dict[str, Any]:
    """Build and fetch, with what this machine has of walls: what is fetched is known by its digests."""
    from ostiary.sandbox.isolation.cache import cache_folder
    from ostiary.sandbox.isolation.probe import probe
    from ostiary.sandbox.isolation.root import build_root
    from ostiary.sandbox.isolation.walls import Walls
    from ostiary.sandbox.packages.opening import open_supply

    cache = cache_folder(os.environ)
    walls = Walls.decide("best-effort", probe(os.environ))
    root = build_root(cache, python)
    supply = open_supply(os.environ, walls, cache, python, index_url=index_url)
    try:
        ready = asyncio.run(supply.prepare(engine.value))
    finally:
        walls.cells.close()
    return {
        "python": root.version,
        "folder": ready.folder,
        "packages": list(ready.packages),
        "missing": list(walls.report.missing),
    }
