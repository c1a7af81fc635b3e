"""The containers of one engine, as owners may see and use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ostiary.sandbox.containers.found import Found, Installed, Logged
from ostiary.sandbox.containers.settings import ContainerSettings

Tell = Callable[[str], object]
"""Is given words about how far something has come, for the one who waits."""

Kind = Literal["container", "image", "volume", "network"]


class Containers:
    """An engine, and what of it each owner may use.

    A container is an owner's if it carries our labels with that owner's name, if the operator
    allows it (`ContainerSettings.allowed`), or with `unsafe_any_container`. To anybody else it does not
    exist. `clock` gives microseconds since 1970; `on_trouble` is told of what fails in the background.
    """

    def __init__(
        self,
        settings: ContainerSettings,
        environ: Mapping[str, str],
        *,
        clock: Callable[[], int],
        on_trouble: Callable[[str], object],
    ) -> None:
        raise NotImplementedError

    async def open(self) -> None:
        """Reach the engine, and begin to remove what nobody uses. Raises EngineFault.

        Whatever is called before `open` waits for nothing: it reaches for the engine by itself.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the engine. Containers that have time left stay for whoever comes next."""
        raise NotImplementedError

    async def find(self, owner: str, name: str) -> Found:
        """A container by name or id (also the beginning of one, as engines have it).

        Raises:
            CallerFault: a name that cannot be one.
            UnknownContainer: there is none, or it is not `owner`'s; the text tells nobody which.
            EngineFault: the engine cannot be reached.
        """
        raise NotImplementedError

    async def visible(self, owner: str, *, everything: bool) -> list[dict[str, Any]]:
        """The containers that `owner` may use, as `GET /containers/json` has them.

        Only running ones unless `everything`. Raises EngineFault.
        """
        raise NotImplementedError

    async def create(self, owner: str, image: str, name: str, tell: Tell) -> Found:
        """Start a container of `owner`'s, walled off, that waits for commands.

        An image that is missing is pulled first, with a time budget of its own; `tell` hears of it.
        When anything fails nothing is left behind.

        Raises:
            CallerFault: a name or an image that cannot be one.
            NameTaken: there is such a container.
            ImageFault: the image cannot be had, or nothing in it can wait (neither `sleep` nor Python).
            EngineFault: the engine cannot be reached, or refuses.
        """
        raise NotImplementedError

    async def remove(self, owner: str, name: str) -> bool:
        """Stop a container and remove it, with its volumes; whether it had to be killed.

        It has 5 seconds to end by itself. Raises as `find`.
        """
        raise NotImplementedError

    async def install(self, owner: str, name: str, packages: Sequence[str], tell: Tell) -> Installed:
        """Install packages with the container's own manager: npm, pip, apt-get or apk.

        Which one: by the image's name, then by what is there. Arguments only, no shell.

        Raises:
            CallerFault: no packages, or one whose name cannot be one; and as `find`.
            NotRunning: the container is stopped.
            NoManager: none of the four is there.
            InstallRefused: this container can have none (no network, read-only): said at once.
        """
        raise NotImplementedError

    async def logs(
        self,
        found: Found,
        *,
        tail: int | None = 100,
        since: str = "",
        until: str = "",
        timestamps: bool = False,
        details: bool = False,
        most: int = 1 << 20,
    ) -> Logged:
        """What a container has written: the last `tail` lines, all with None.

        `since` and `until` are as the docker CLI has them: RFC 3339, seconds since 1970, or how long ago
        (`10m`). At most `most` bytes of both together are kept. Raises CallerFault for a time that
        cannot be read, EngineFault.
        """
        raise NotImplementedError

    async def inspect(
        self, owner: str, target: str, kind: Kind | None, *, size: bool = False
    ) -> dict[str, Any]:
        """All that the engine says of a container or an image (with None: the first that there is).

        Volumes and networks, which say things of the machine, only with `unsafe_any_container`.
        Raises UnknownContainer (for every kind), EngineFault.
        """
        raise NotImplementedError

    async def stats(
        self, owner: str, names: Sequence[str], *, everything: bool = False
    ) -> list[dict[str, Any]]:
        """One sample of what containers use, as `GET /containers/{id}/stats` has it, with `name` and `id`.

        Of those named, else of all running ones of `owner`; with `everything` also of stopped ones.
        Raises as `find`.
        """
        raise NotImplementedError

    async def images(self, *, everything: bool = False) -> list[dict[str, Any]]:
        """The engine's images, as `GET /images/json` has them. Raises EngineFault."""
        raise NotImplementedError

    async def version(self) -> str:
        """What engine it is and which version, as `docker 20.10.24`. Raises EngineFault."""
        raise NotImplementedError
