"""The containers of one engine, as owners may see and use them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from ostiary.errors import CallerFault
from ostiary.sandbox.chores import Chores
from ostiary.sandbox.containers.api import Api, Json, labels_of
from ostiary.sandbox.containers.client import Client, Refused
from ostiary.sandbox.containers.faults import EngineFault, UnknownContainer
from ostiary.sandbox.containers.found import Found, Installed, Logged
from ostiary.sandbox.containers.install import Fetch, Installer
from ostiary.sandbox.containers.labels import Tag, found_of, may_use, tag_of
from ostiary.sandbox.containers.making import Maker
from ostiary.sandbox.containers.names import MAX_NAME, check_image, check_name, check_new_name
from ostiary.sandbox.containers.register import Missing, Register, asked
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.containers.times import moment
from ostiary.sandbox.containers.walls import LIFETIME_S
from ostiary.sandbox.containers.wire import Frames

Tell = Callable[[str], object]
"""Is given words about how far something has come, for the one who waits."""

Kind = Literal["container", "image", "volume", "network"]

GRACE_S: Final = 5
"""How long a container may take to end by itself before it is killed."""
STOP_S = 30.0
"""How much longer the engine may take for that before the container is removed by force."""
_KILLED: Final = 128 + 9
"""The exit code of what SIGKILL has ended."""
_NOT_FOUND: Final = 404
_AT_ONCE: Final = 4
_SECOND: Final = 1_000_000
_SEVERAL: Final = ("ultiple IDs found", "more than one result")
"""How engines say that an id has several endings."""
_HINT: Final = "`list_containers` shows those that there are for you"


class Containers:
    """An engine, and what of it each owner may use.

    A container is an owner's if it carries our labels with that owner's name, if the operator
    allows it (`ContainerSettings.allowed`), or with `unsafe_any_container`. To anybody else it does not
    exist. `clock` gives microseconds since 1970; `on_trouble` is told of what fails in the background.
    `fetch` gets packages of Python from outside of the container; without it, pip in the container does.
    """

    def __init__(
        self,
        settings: ContainerSettings,
        environ: Mapping[str, str],
        *,
        clock: Callable[[], int],
        on_trouble: Callable[[str], object],
        fetch: Fetch | None = None,
    ) -> None:
        self.settings = settings
        self.client = Client(settings.host, environ)
        self._clock = clock
        self._installer = Installer(self.client, settings, fetch)
        self._chores = Chores(on_trouble)
        self._register = Register(self.client, settings.ttl_s, clock, on_trouble)
        self._maker = Maker(self.client, settings, self._register.give_up)
        self._opened = False
        self._closed = False

    async def open(self) -> None:
        """Reach the engine, and begin to remove what nobody uses. Raises EngineFault.

        Whatever is called before `open` waits for nothing: it reaches for the engine by itself.
        """
        await self.client.described()
        if not self._opened:
            self._opened = True
            self._chores.start(self._register.reap_on())

    async def close(self) -> None:
        """Remove the containers that were made here, and let go of the engine.

        What another process made stays until its time is up.
        """
        if self._closed:
            return
        self._closed = True
        await self._chores.close()
        await self._register.take_all_away()
        await self.client.close()

    # --- which there are --------------------------------------------------------------------------

    async def find(self, owner: str, name: str) -> Found:
        """A container by name or id (also the beginning of one, as engines have it).

        Raises:
            CallerFault: a name that cannot be one.
            UnknownContainer: there is none, or it is not `owner`'s; the text tells nobody which.
            EngineFault: the engine cannot be reached.
        """
        found, _ = await self._look(owner, name)
        return found

    async def _look(self, owner: str, name: str) -> tuple[Found, Json]:
        check_name(name)
        try:
            inspected = await self._call(lambda api: api.inspect_container(name))
        except Missing:
            raise _unknown(name) from None
        except EngineFault as fault:
            if any(words in fault.message for words in _SEVERAL):
                raise _unknown(name) from None  # whose they are is nobody's to know
            raise
        tag = await self._register.tag(
            str(inspected["Id"]), str(inspected.get("Image", "")), labels_of(inspected)
        )
        found = found_of(inspected, ours=tag is not None)
        if not may_use(self.settings, owner, found, tag):
            raise _unknown(name)
        self._register.use(found.id)
        return found, inspected

    async def visible(self, owner: str, *, everything: bool) -> list[dict[str, Any]]:
        """The containers that `owner` may use, as `GET /containers/json` has them.

        Only running ones unless `everything`. Raises EngineFault.
        """
        shown: list[Json] = []
        listed: list[Json] = await self._call(lambda api: api.containers(all=everything))
        for one in listed:
            image = str(one.get("ImageID", ""))
            tag = await self._register.tag(str(one["Id"]), image, one.get("Labels") or {})
            if may_use(self.settings, owner, _listed(one), tag):
                shown.append(one)
        return shown

    async def inspect(
        self, owner: str, target: str, kind: Kind | None, *, size: bool = False
    ) -> dict[str, Any]:
        """All that the engine says of a container or an image (with None: the first that there is).

        Volumes and networks, which say things of the machine, only with `unsafe_any_container`.
        Raises CallerFault for what can name nothing, UnknownContainer (for every kind), EngineFault.
        """
        if kind in (None, "container") and (kind is not None or _may_be_name(target)):
            try:
                found, inspected = await self._look(owner, target)
            except UnknownContainer:
                if kind is not None:
                    raise
            else:
                return await self._asked(f"/containers/{found.id}/json?size=1") if size else inspected
        try:
            return await self._call(lambda api: self._inspected(api, target, kind or "image"))
        except Missing:
            raise UnknownContainer(f"there is no {kind or 'container or image'} {target[:80]!r}") from None

    def _inspected(self, api: Api, target: str, kind: Kind) -> Json:
        if kind == "image":
            check_image(target)  # an id of one has this form as well, and is none with a tag added
            return api.inspect_image(target)
        if not self.settings.unsafe_any_container:
            raise CallerFault(
                f"{kind}s cannot be inspected here",
                hint="the operator opens them with --unsafe-any-container",
            )
        check_name(target)
        return api.inspect_volume(target) if kind == "volume" else api.inspect_network(target)

    async def images(self, *, everything: bool = False) -> list[dict[str, Any]]:
        """The engine's images, as `GET /images/json` has them. Raises EngineFault."""
        return await self._call(lambda api: api.images(all=everything))

    async def version(self) -> str:
        """What engine it is and which version, as `docker 20.10.24`. Raises EngineFault."""
        kind, version, _ = await self.client.described()
        return f"{kind} {version}"

    # --- what they do -----------------------------------------------------------------------------

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
        now = self._clock() / _SECOND
        wanted = {
            "stdout": "1",
            "stderr": "1",
            "tail": "all" if tail is None else str(max(0, tail)),
            "timestamps": "1" if timestamps else "0",
            "details": "1" if details else "0",
        }
        wanted |= {key: moment(text, now) for key, text in (("since", since), ("until", until)) if text}
        try:
            inspected = await self._call(lambda api: api.inspect_container(found.id))
            path = f"/containers/{found.id}/logs?{urlencode(wanted)}"
            data, truncated = await self.client.read(path, most)
        except (Missing, Refused) as refusal:
            if isinstance(refusal, Missing) or refusal.status == _NOT_FOUND:
                raise _unknown(found.name) from None
            raise EngineFault(f"the engine has no logs: {refusal.message}") from refusal
        if inspected["Config"].get("Tty"):
            return Logged(stdout=data, truncated=truncated)
        streams = {1: bytearray(), 2: bytearray()}
        for stream, piece in Frames().feed(data):
            streams[stream] += piece
        return Logged(stdout=bytes(streams[1]), stderr=bytes(streams[2]), truncated=truncated)

    async def stats(
        self, owner: str, names: Sequence[str], *, everything: bool = False
    ) -> list[dict[str, Any]]:
        """One sample of what containers use, as `GET /containers/{id}/stats` has it, with `name` and `id`.

        Of those named, else of all running ones of `owner`; with `everything` also of stopped ones.
        Raises as `find`.
        """
        if names:
            found = [(one.id, one.name) for one in [await self.find(owner, name) for name in names]]
        else:
            listed = await self.visible(owner, everything=everything)
            found = [(one.id, one.name) for one in map(_listed, listed)]
        turn = asyncio.Semaphore(_AT_ONCE)

        async def sample(container: str, name: str) -> Json | None:
            async with turn:
                try:
                    said = await self._call(lambda api: api.stats(container, stream=False))
                except (Missing, EngineFault):
                    return None  # it has ended meanwhile
            return {**said, "id": container, "name": name}

        samples = await asyncio.gather(*(sample(*one) for one in found))
        return [one for one in samples if one is not None]

    async def create(self, owner: str, image: str, name: str, tell: Tell) -> Found:
        """Start a container of `owner`'s, walled off, that waits for commands.

        An image that is missing is pulled first, with a time budget of its own; `tell` hears of it.
        When anything fails nothing is left behind; what the engine does not remove then is told as
        trouble, and is removed at the end.

        Raises:
            CallerFault: a name or an image that cannot be one, a name that stands for another container,
                or more of them than an owner may have.
            NameTaken: there is such a container.
            ImageFault: the image cannot be had, or nothing in it can wait (neither `sleep` nor Python).
            EngineFault: the engine cannot be reached, or refuses.
        """
        check_new_name(name, self.settings.allowed)
        wanted = check_image(image)
        if self._closed:
            raise EngineFault("the server is stopping and makes no more containers")
        now = self._register.seconds()
        tag = Tag(owner=owner, instance=self._register.instance, created=now, expires=now + LIFETIME_S)
        async with self._register.room(owner, self.settings.each):
            made = await self._maker.make(wanted, name, tag, tell)
            self._register.made(made)
        return Found(id=made, name=name, image=image, running=True, ours=True)

    async def remove(self, owner: str, name: str) -> bool:
        """Stop a container and remove it, with its volumes; whether it had to be killed.

        It has 5 seconds to end by itself. Raises as `find`; also CallerFault for one that was not
        created here, unless with `unsafe_any_container`.
        """
        found = await self.find(owner, name)
        if not found.ours and not self.settings.unsafe_any_container:
            raise CallerFault(
                f"container {found.name!r} was not created here and is not removed",
                hint="it may be used; whoever made it removes it",
            )
        killed = False
        if found.running:
            with contextlib.suppress(Missing):
                killed = await self._stop(found.id)
        await self._register.remove(found.id)
        return killed

    async def _stop(self, container: str) -> bool:
        """Whether its time was up, so that it was killed, or is to be. Raises Missing, EngineFault.

        Outside the SDK: stopping takes its time, and would take the SDK's threads from everybody else.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + GRACE_S
        try:
            async with asyncio.timeout(GRACE_S + STOP_S):
                await self.client.ask("POST", f"/containers/{container}/stop?t={GRACE_S}", endless=True)
        except TimeoutError:
            return True
        except Refused as refusal:
            if refusal.status == _NOT_FOUND:
                raise Missing from refusal
            raise EngineFault(f"the engine refuses: {refusal.message}") from refusal
        # Later than that, the engine may only have been slow: how it ended is what tells.
        return loop.time() >= until and await self._was_killed(container)

    async def _was_killed(self, container: str) -> bool:
        """How a container ended whose time was up: one that is gone by now, by force as far as is known."""
        try:
            ended: Json = await self._call(lambda api: api.inspect_container(container))
        except Missing:
            return True
        return ended["State"].get("ExitCode") == _KILLED

    async def install(self, owner: str, name: str, packages: Sequence[str], tell: Tell) -> Installed:
        """Install packages with the container's own manager: npm, pip, apt-get or apk.

        Which one: by the image's name, then by what is there. Arguments only, no shell.

        Raises:
            CallerFault: no packages, or one whose name cannot be one; and as `find`.
            NotRunning: the container is stopped.
            NoManager: none of the four is there.
            InstallRefused: this container can have none (no network, read-only): said at once.
        """
        found, inspected = await self._look(owner, name)
        return await self._installer.install(owner, found, inspected, packages, tell)

    async def reap(self) -> None:
        """Remove what nobody uses, now. Raises EngineFault."""
        await self._register.reap()

    def use(self, container: str) -> None:
        """Say that a container is in use now, by its full id."""
        self._register.use(container)

    def made_here(self, container: str) -> bool:
        """Whether a container, by its full id, is known to be one that was created for somebody."""
        return self._register.knows(container)

    # --- within -----------------------------------------------------------------------------------

    async def _call(self, ask: Callable[[Api], Any]) -> Any:
        """Raises Missing, EngineFault."""
        return await asked(self.client, ask)

    async def _asked(self, path: str) -> Json:
        try:
            return await self.client.ask("GET", quote(path, safe="/?=&"))
        except Refused as refusal:
            raise EngineFault(f"the engine refuses: {refusal.message}") from refusal


def _unknown(name: str) -> UnknownContainer:
    return UnknownContainer(f"there is no container {name!r}", hint=_HINT)


def _may_be_name(target: str) -> bool:
    return len(target) <= MAX_NAME and all(one.isalnum() or one in "_.-" for one in target)


def _listed(one: Mapping[str, Any]) -> Found:
    """What `GET /containers/json` says of a container."""
    names = one.get("Names") or [""]
    return Found(
        id=str(one["Id"]),
        name=str(names[0]).lstrip("/"),
        image=str(one.get("Image", "")),
        running=one.get("State") == "running",
        ours=tag_of(one.get("Labels")) is not None,
    )
