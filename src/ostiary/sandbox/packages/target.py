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
