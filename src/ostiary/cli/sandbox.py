"""`ostiary sandbox`: make ready what runs of code need."""

from __future__ import annotations

import asyncio
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.options import Format, FormatOption, StateOption, print_json
from ostiary.errors import CallerFault

app = typer.Typer(no_args_is_help=True, help="Make ready what runs of code need.")


class Engine(StrEnum):
    """What runs code."""

    cpython = "cpython"
    pyodide = "pyodide"


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
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="FILE", help="Node or Deno, for pyodide.", show_default=False)
    ] = "",
    registry: Annotated[
        str,
        typer.Option("--registry", metavar="URL", help="The npm registry, for pyodide.", show_default=False),
    ] = "",
    archive: Annotated[
        Path | None,
        typer.Option("--archive", metavar="FILE", help="A downloaded pyodide package.", show_default=False),
    ] = None,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Fetch what an engine needs, so that no run has to.

    For cpython it builds the file system that runs see, and fetches numpy, pandas, httpx and
    requests exactly as this version of Ostiary locks them. For pyodide it fetches Pyodide and
    builds a snapshot of its memory. Only this step fetches them; what is there is left as it is.

    A password for the index belongs into OSTIARY_INDEX_URL, where other users do not see it.

    Exit status: 0 done, 2 could not run.
    """
    if index_url is not None and "@" in index_url:
        raise CallerFault(
            "--index-url must not carry credentials", hint="put the whole address into OSTIARY_INDEX_URL"
        )
    if engine is Engine.pyodide:
        for option, given in (("--python", python), ("--index-url", index_url)):
            if given is not None:
                raise CallerFault(f"{option} is for the engine cpython")
        told, lines = _pyodide(runtime, registry, archive)
    else:
        for option, given in (("--runtime", runtime), ("--registry", registry), ("--archive", archive)):
            if given:
                raise CallerFault(f"{option} is for the engine pyodide")
        told, lines = _cpython(python or Path(sys.executable), index_url)
    if format_ is Format.json:
        print_json({"v": 1, "engine": engine.value, **told})
        return
    for line in lines:
        typer.echo(line)


Told = tuple[dict[str, object], list[str]]
"""For programs, and for people."""


def _cpython(interpreter: Path, index_url: str | None) -> Told:
    from ostiary.sandbox.isolation.cache import cache_folder
    from ostiary.sandbox.isolation.probe import probe
    from ostiary.sandbox.isolation.root import build_root
    from ostiary.sandbox.isolation.walls import Walls
    from ostiary.sandbox.packages.opening import open_supply

    cache = cache_folder(os.environ)
    walls = Walls.decide("best-effort", probe(os.environ))
    for missing in walls.report.missing:
        typer.echo(f"without: {missing}", err=True)
    root = build_root(cache, interpreter)
    supply = open_supply(os.environ, walls, cache, interpreter, index_url=index_url)
    try:
        ready = asyncio.run(supply.prepare("cpython"))
    finally:
        walls.cells.close()
    told: dict[str, object] = {
        "python": root.version,
        "folder": ready.folder,
        "packages": list(ready.packages),
        "missing": list(walls.report.missing),
    }
    lines = [f"Python {root.version}: {root.path}", f"{len(ready.packages)} packages: {ready.folder}"]
    return told, lines + [f"  {package}" for package in ready.packages]


def _pyodide(named: str, registry: str, archive: Path | None) -> Told:
    from ostiary.sandbox.isolation.cache import cache_folder
    from ostiary.sandbox.pyodide.javascript import find_runtime
    from ostiary.sandbox.pyodide.prepare import prepare_pyodide

    runtime = find_runtime(os.environ, named)

    def say(text: str) -> None:
        typer.echo(text, err=True)

    found = prepare_pyodide(
        cache_folder(os.environ), runtime, environ=os.environ, registry=registry, archive=archive, say=say
    )
    told: dict[str, object] = {
        "runtime": runtime.named(),
        "folder": found.place,
        "snapshot": bool(found.snapshot),
        "note": found.note,
    }
    lines = [f"Pyodide with {runtime.named()}: {found.place}"]
    return told, lines + ([f"without a memory snapshot: {found.note}"] if found.note else [])
