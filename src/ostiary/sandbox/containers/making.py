"""Making a container: its image, the container itself, and its first process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, cast

from ostiary.sandbox.containers.api import Api, Json, labels_of
from ostiary.sandbox.containers.client import Client, Refused
from ostiary.sandbox.containers.execs import Program, Said, execute
from ostiary.sandbox.containers.faults import EngineFault, ImageFault, NameTaken, NotRunning, UnknownContainer
from ostiary.sandbox.containers.labels import PREFIX, Tag
from ostiary.sandbox.containers.profile import profile
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.containers.walls import SLEEPERS, Image, container, probe

_NOT_FOUND, _CONFLICT = 404, 409
_LOOKS, _LOOK_S = 250, 0.02
"""A container that is removed may be there still for a moment, and so may its name."""
_QUIET_S = 60
"""An engine that says nothing for so long while it pulls is not pulling."""

Tell = Callable[[str], object]


class Maker:
    """Makes containers on one engine, as the settings say.

    `give_up` removes one that nobody is to have, and says whether it could.
    """

    def __init__(
        self, client: Client, settings: ContainerSettings, give_up: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._client = client
        self._settings = settings
        self._give_up = give_up

    async def make(self, image: str, name: str, tag: Tag, tell: Tell) -> str:
        """A running container; its id.

        Nothing of it is left when this fails or is cancelled, unless it could not be given up.
        Raises NameTaken, ImageFault, EngineFault.
        """
        said = await self._image(image, tell)
        if any(label.startswith(PREFIX) for label in labels_of(said)):
            raise ImageFault(f"the image {image} carries labels `{PREFIX}…`, which say whose a container is")
        configured: Json = said.get("Config") or {}
        environment: list[str] = configured.get("Env") or []
        paths = [item.removeprefix("PATH=") for item in environment if item.startswith("PATH=")]
        volumes = tuple(cast("dict[str, Any]", configured.get("Volumes") or {}))
        taken = Image(image, volumes, *paths[:1])
        for sleeper in SLEEPERS:
            made = await self._start(taken, name, sleeper, tag)
            if made:
                return made
        raise ImageFault(
            f"nothing in the image {image} can wait for commands: it has neither `sleep` nor Python"
        )

    # --- the image --------------------------------------------------------------------------------

    async def _image(self, image: str, tell: Tell) -> Json:
        try:
            return await self._client.call(lambda api: api.inspect_image(image))
        except Refused as refusal:
            if refusal.status != _NOT_FOUND:
                raise EngineFault(f"the engine refuses: {refusal.message}") from refusal
        if self._settings.pull == "never":
            raise ImageFault(
                f"the image {image} is not there, and images are not pulled here",
                hint="ask whoever runs the engine",
            )
        tell(f"pulling {image}")
        try:
            async with asyncio.timeout(self._settings.pull_budget_s):
                await self._pull(image, tell)
            return await self._client.call(lambda api: api.inspect_image(image))
        except TimeoutError:
            raise ImageFault(
                f"the image {image} could not be pulled within {self._settings.pull_budget_s:g} s"
            ) from None
        except Refused as refusal:
            raise ImageFault(f"the image {image} cannot be had: {refusal.message}") from refusal

    async def _pull(self, image: str, tell: Tell) -> None:
        api = await self._client.own(_QUIET_S)
        loop = asyncio.get_running_loop()
        given_up = False

        def pull() -> None:
            for told in api.pull(image, stream=True, decode=True):
                if given_up:
                    return
                if "error" in told:
                    raise ImageFault(f"the image {image} cannot be had: {told['error']}")
                loop.call_soon_threadsafe(tell, _progress(told))

        try:
            await self._client.guarded(pull)
        finally:
            given_up = True
            api.close()  # the engine stops pulling when nobody listens

    # --- the container ----------------------------------------------------------------------------

    async def _start(self, image: Image, name: str, sleeper: tuple[str, ...], tag: Tag) -> str:
        """Its id; empty when the image does not have the program that is to wait."""
        with await self._filter() as seccomp:
            wanted = container(
                self._settings,
                image,
                sleeper,
                tag.labels(),
                seccomp=seccomp,
                podman=bool(seccomp),
            )
            # Whoever is cancelled here must still learn of the container, to take it away.
            making = asyncio.ensure_future(self._client.call(lambda api: _made(api, wanted, name)))  # noqa: TID251 - awaited below, whatever happens
            try:
                made = await asyncio.shield(making)
                await self._client.call(lambda api: api.start(made))
                if not await self._waits(made, sleeper):
                    await self._undo(making)
                    return ""
            except BaseException as error:
                await asyncio.shield(self._undo(making))
                if isinstance(error, Refused):
                    if _no_such_program(error.message, sleeper[0]):
                        return ""
                    raise self._refused(error, name) from error
                raise
            return made

    async def _waits(self, made: str, sleeper: tuple[str, ...]) -> bool:
        """Whether its first process is there: an init process starts first, and ends when it finds none."""
        try:
            code = await execute(self._client, Program(container=made, argv=probe(sleeper)), Said())
        except (NotRunning, UnknownContainer, Refused):
            return False
        except (OSError, ValueError) as error:
            raise EngineFault(f"the engine went away: {error}") from error
        return code == 0

    async def _undo(self, making: asyncio.Future[str]) -> None:
        try:
            made = await making
        except (Refused, EngineFault):
            return  # nothing was made, as far as is known
        if not await self._give_up(made):
            return
        with contextlib.suppress(Refused, EngineFault):
            for _ in range(_LOOKS):
                await self._client.ask("GET", f"/containers/{made}/json")
                await asyncio.sleep(_LOOK_S)

    def _refused(self, refusal: Refused, name: str) -> Exception:
        if refusal.status == _CONFLICT or "already in use" in refusal.message:
            return NameTaken(f"a container called {name!r} is there already", hint="choose another name")
        if (
            "untime" in refusal.message
            and self._settings.runtime
            and self._settings.runtime in refusal.message
        ):
            return EngineFault(
                f"the engine cannot use the runtime {self._settings.runtime!r}: {refusal.message}",
                hint="add it to the engine's `runtimes`, or choose another with --runtime",
            )
        return EngineFault(f"the engine made no container: {refusal.message}")

    async def _filter(self) -> contextlib.AbstractContextManager[str]:
        """The seccomp filter, where the engine takes it as a file: podman does. Empty: it is sent along."""
        kind, _, _ = await self._client.described()
        if kind != "podman":
            return contextlib.nullcontext("")
        root = self._settings.unsafe_writable_root
        return _written(json.dumps(profile(root=root)).encode())


@contextlib.contextmanager
def _written(text: bytes) -> Generator[str, None, None]:
    """The path of a file with this in it, for as long as the context lasts."""
    number, path = tempfile.mkstemp(prefix="ostiary-filter-", suffix=".json")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(text)
        yield path
    finally:
        Path(path).unlink()


def _made(api: Api, wanted: Json, name: str) -> str:
    return str(api.create_container_from_config(wanted, name)["Id"])


def _no_such_program(message: str, program: str) -> bool:
    return program in message and ("not found" in message or "no such file" in message)


def _progress(told: Json) -> str:
    """One line of what an engine says while it pulls."""
    return " ".join(str(told[key]) for key in ("id", "status", "progress") if told.get(key))
