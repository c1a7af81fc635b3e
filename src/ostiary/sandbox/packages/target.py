"""For which Python, on which platform, packages are wanted."""

from __future__ import annotations

import msgspec


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An engine's Python, as far as the choice of wheels goes.

    `python` is its full version. `platform` is empty for this machine's own, else uv's name of it
    (`--python-platform`). `aliases` are pairs of platform tags: a wheel with the first is offered to
    the resolver as if it had the second, for a platform that is newer than the resolver.
    """

    engine: str
    python: str
    platform: str = ""
    aliases: tuple[tuple[str, str], ...] = ()


_KNOWN_WASM = "wasm32-pyodide2025"
_KNOWN_TAG = "pyodide_2025_0_wasm32"


def wasm_target(engine: str, python: str, tags: tuple[str, ...]) -> Target:
    """Python in WebAssembly whose wheels carry one of these platform tags (PEP 783).

    Markers are evaluated for Emscripten, and wheels for any platform fit as well.
    """
    aliases = tuple((tag, _KNOWN_TAG) for tag in tags if tag != _KNOWN_TAG)
    return Target(engine=engine, python=python, platform=_KNOWN_WASM, aliases=aliases)
