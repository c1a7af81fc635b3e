"""`ostiary doctor`: what this machine offers to isolate code, and what brings the rest."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
import typer

from ostiary.cli.options import Format, FormatOption, print_json
from ostiary.cli.printable import printable
from ostiary.sandbox.isolation.cache import cache_path
from ostiary.sandbox.isolation.probe import Layer, Probed, probe
from ostiary.wiring.container_engine import engine_layer

_NAME_WIDTH = 17


def doctor(format_: FormatOption = Format.text) -> None:
    """Say what this machine offers, to this user, to isolate code.

    Every layer is tried, not looked up: a program is started behind all of them.

    Exit status: 0 strict isolation is possible, 1 only best effort is, 2 could not run.
    """
    found = probe(os.environ)
    programs = (*found.programs(), engine_layer(os.environ))
    if format_ is Format.json:
        print_json(_document(found, programs))
    else:
        for line in _lines(found, programs):
            typer.echo(printable(line))
    raise typer.Exit(0 if not found.lacking() else 1)


def _document(found: Probed, programs: Sequence[Layer]) -> dict[str, object]:
    needed = {layer.name for layer in found.needed()}
    return {
        "v": 1,
        "user": os.geteuid(),
        "level": _level(found),
        "strict": not found.lacking(),
        "layers": [
            {"needed": layer.name in needed, **msgspec.structs.asdict(layer)} for layer in found.layers()
        ],
        "programs": [msgspec.structs.asdict(program) for program in programs],
        "users": _users(found),
        "cache": str(cache_path(os.environ)),
    }


def _level(found: Probed) -> str:
    return "best-effort" if found.lacking() else "strict"


def _users(found: Probed) -> str | None:
    return None if found.uids is None else f"{found.uids[0]}-{found.uids[-1]}"


def _lines(found: Probed, programs: Sequence[Layer]) -> list[str]:
    """The page: the answer first, then each layer, then what else engines need."""
    told = [f"isolation: {_level(found)} (for user {os.geteuid()})", ""]
    for layer in found.layers():
        told += _layer(layer)
    told += ["", "programs that some engines need"]
    for program in programs:
        told += _layer(program)
    told += ["", f"workers run as   {_users(found) or 'this user, in namespaces of their own'}"]
    told.append(f"cache            {cache_path(os.environ)}")
    return told


def _layer(layer: Layer) -> list[str]:
    name = layer.name.ljust(_NAME_WIDTH)
    if layer.found:
        return [f"  ✓ {name} {' '.join(word for word in (layer.version, layer.path) if word)}".rstrip()]
    below = " " * (_NAME_WIDTH + 5)
    told = [f"  - {name} missing: {layer.why}"]
    if layer.loss:
        told.append(f"{below}without it {layer.loss}")
    if layer.remedy:
        told.append(f"{below}to get it: {layer.remedy}")
    return told
