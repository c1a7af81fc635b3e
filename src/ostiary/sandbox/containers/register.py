"""Which containers are ours, when each was used last, and which of them are to go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from ostiary.errors import CallerFault
from ostiary.sandbox.containers.api import Api, Json, labels_of
from ostiary.sandbox.containers.client import Client, Refused
from ostiary.sandbox.containers.faults import EngineFault
from ostiary.sandbox.containers.labels import INSTANCE, OWNER, Tag, tag_of
from ostiary.sandbox.containers.reaper import alive, is_due, this_instance

_NOT_FOUND: Final = 404
_AT_ONCE: Final = 16
"""Removals at once: they hold no thread, and those that hang must not keep the others waiting."""
_SECOND: Final = 1_000_000
_YOUNG_S: Final = 5
"""A container that has not been started yet looks like one that has ended."""

_BEGUN: Final = "already in progress"
"""How Docker says that it removes a container now: it does so by itself with each of ours that ends."""
REMOVAL_S = 30.0
"""How long one removal is waited for, whoever has begun it."""
ALL_S = 60.0
"""How long all of them may take at the end, however many there are."""


class Missing(Exception):
    """The engine has no such thing."""


async def asked(client: Client, ask: Callable[[Api], Any]) -> Any:
    """What the engine answers. Raises Missing, EngineFault."""
    try:
        return await client.call(ask)
    except Refused as refusal:
        if refusal.status == _NOT_FOUND:
            raise Missing from refusal
        raise EngineFault(f"the engine refuses: {refusal.message}") from refusal


class Register:
    """What this process knows of the containers that were created for owners. `clock` in microseconds."""

    def __init__(
        self, client: Client, ttl_s: int, clock: Callable[[], int], on_trouble: Callable[[str], object]
    ) -> None:
        self._client = client
        self._ttl_s = ttl_s
        self._clock = clock
        self._on_trouble = on_trouble
        self.instance = this_instance()
        self._used: dict[str, int] = {}
        self._made: set[str] = set()
        self._given_up: set[str] = set()
        self._making: Counter[str] = Counter()
        self._ours: dict[str, bool] = {}

    def seconds(self) -> int:
        """Now, since 1970."""
        return self._clock() // _SECOND

    def use(self, container: str) -> None:
        """It is in use now."""
        self._used[container] = self.seconds()

    def made(self, container: str) -> None:
        """It was created by this process."""
        self._made.add(container)
        self._ours[container] = True
        self.use(container)

    @asynccontextmanager
    async def room(self, owner: str, most: int) -> AsyncGenerator[None]:
        """Hold a place for one more container of an owner's, while it is made.

        Raises CallerFault where as many as `most` are there or being made, EngineFault.
        """
        self._making[owner] += 1
        try:
            wanted = {"label": [f"{INSTANCE}={self.instance}", f"{OWNER}={owner}"]}
            listed: list[Json] = await asked(
                self._client, lambda api: api.containers(all=True, filters=wanted)
            )
            there = {str(one["Id"]) for one in listed} & self._made  # the others are still being made
            if len(there) + self._making[owner] > most:
                raise CallerFault(
                    f"you have {most} containers, which is the most",
                    hint="remove one with `cleanup_container`",
                )
            yield
        finally:
            self._making[owner] -= 1
            if not self._making[owner]:
                del self._making[owner]

    def knows(self, container: str) -> bool:
        """Whether it is known to be one that was created for somebody."""
        return self._ours.get(container, False)

    async def tag(self, container: str, image: str, labels: dict[str, str]) -> Tag | None:
        """What its labels say, unless they are its image's: an image may not say whose a container is."""
        found = tag_of(labels)
        if found is None:
            return None
        if container not in self._ours:
            try:
                said: Json = await asked(self._client, lambda api: api.inspect_image(image))
            except Missing:  # nobody can tell any more whose labels they are
                self._ours[container] = False
            else:
                self._ours[container] = OWNER not in labels_of(said)
        return found if self._ours[container] else None

    async def reap(self) -> None:
        """Remove the containers of ours whose time is up, and what is left of those that have ended."""
        listed: list[Json] = await asked(
            self._client, lambda api: api.containers(all=True, filters={"label": OWNER})
        )
        to_go: dict[str, tuple[Json, Tag]] = {}
        for one in listed:
            container = str(one["Id"])
            try:
                tag = await self.tag(container, str(one.get("ImageID", "")), one.get("Labels") or {})
            except EngineFault as fault:
                self._on_trouble(f"container {container[:12]} could not be looked at: {fault.message}")
                continue
            if tag is not None and self._is_over(one, tag):
                to_go[container] = one, tag
        # Each is looked at once more when its turn comes: its owner may use it again by then.
        await self._take_away(to_go, lambda container: self._is_over(*to_go[container]))

    def _is_over(self, one: Json, tag: Tag) -> bool:
        """Whether a container, as the engine lists it, is to go now."""
        now = self.seconds()
        mine = tag.instance == self.instance
        living = True if mine else alive(tag.instance)
        gone = str(one.get("State")) in ("exited", "dead") and now - tag.created > _YOUNG_S
        used = self._used.get(str(one["Id"]), tag.created)
        due = is_due(tag, used, now, self._ttl_s, ours=mine, living=living)
        return due or (gone and (mine or living is False))

    async def reap_on(self) -> None:
        """Do so now and then, until cancelled."""
        pause = max(1.0, min(60.0, self._ttl_s / 4))
        while True:
            try:
                await self.reap()
            except EngineFault as fault:
                self._on_trouble(f"containers that nobody uses could not be removed: {fault.message}")
            await asyncio.sleep(pause)

    async def give_up(self, container: str) -> bool:
        """As `take_away`, for one that was made for nobody; it is tried again at the end."""
        self._given_up.add(container)
        return await self.take_away(container)

    async def take_away(self, container: str) -> bool:
        """As `remove`; what goes wrong is told as trouble. Whether it is gone."""
        try:
            await self.remove(container)
        except EngineFault as fault:
            self._on_trouble(f"container {container[:12]} could not be removed: {fault.message}")
            return False
        return True

    async def remove(self, container: str) -> None:
        """Kill it and remove it with its volumes; when this returns it is gone, whoever removed it.

        One that could not be removed stays known, and is tried again. Raises EngineFault.
        """
        try:
            async with asyncio.timeout(REMOVAL_S):
                await self._removed(container)
        except TimeoutError:
            raise EngineFault(
                f"container {container[:12]} was not removed within {REMOVAL_S:g} s",
                hint="it may be gone later; look with `list_containers`, and try again",
            ) from None
        self._made.discard(container)
        self._given_up.discard(container)
        self._used.pop(container, None)

    async def _removed(self, container: str) -> None:
        """Outside the SDK: removals that never end would take its threads from everybody else."""
        try:
            await self._client.ask("DELETE", f"/containers/{container}?v=1&force=1")
        except Refused as refusal:
            if refusal.status == _NOT_FOUND:
                return
            if _BEGUN not in refusal.message:
                raise EngineFault(f"the engine refuses: {refusal.message}") from refusal
            await self._gone(container)

    async def _gone(self, container: str) -> None:
        """Wait for a removal that somebody else has begun."""
        try:
            await self._client.ask("POST", f"/containers/{container}/wait?condition=removed", endless=True)
        except Refused as refusal:
            if refusal.status != _NOT_FOUND:
                raise EngineFault(f"the engine refuses: {refusal.message}") from refusal

    async def take_all_away(self) -> None:
        """Remove everything that this process created, as far as the engine does so in time.

        What is left is removed by the next server of ours on this engine: its maker is gone then.
        """
        try:
            async with asyncio.timeout(ALL_S):
                await self._take_away(self._here)
        except TimeoutError:
            self._on_trouble(
                f"{len(self._here)} containers were not removed within {ALL_S:g} s: the next "
                "`ostiary run docker` on this engine removes them when their time is up"
            )

    @property
    def _here(self) -> set[str]:
        """What this process created, whether for somebody or not, and what is there still."""
        return self._made | self._given_up

    async def _take_away(
        self, containers: Iterable[str], still: Callable[[str], bool] = lambda _: True
    ) -> None:
        """Remove those that `still` are to go when it is their turn."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one(container: str) -> None:
            async with turn:
                if still(container):
                    await self.take_away(container)

        await asyncio.gather(*(one(container) for container in containers))
