"""Warm projects: as many as are wanted ready, each in a cell of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Final

from ostiary.errors import GatewayFault
from ostiary.sandbox.cpython.place import Place
from ostiary.sandbox.cpython.runner import CPythonRunner
from ostiary.sandbox.cpython.worker import Child
from ostiary.sandbox.cpython.zygote import Stock
from ostiary.sandbox.django.project import Project, check_reach
from ostiary.sandbox.django.warm import Facts, Warm
from ostiary.sandbox.django.worker import Between, DjangoChild
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.runner import Environment

_TRIES: Final = 3


class DjangoPlace(Place):
    """A loaded project with room for one child. `retired`: its files have changed since.

    `owned` says that its user is somebody's own, and not one that only children run under.
    """

    def __init__(self, warm: Warm, cell: Cell, keeper: Executor, *, owned: bool) -> None:
        super().__init__(warm, cell, keeper)
        self._warm = warm
        self._owned = owned
        self.on_warm: Callable[[Facts], object] = lambda _: None
        self.retired = False

    @property
    def alive(self) -> bool:
        """Whether it runs, and may have further children."""
        return not self.retired and super().alive

    async def start(self) -> None:
        """Load the project. Raises OstiaryError."""
        await super().start()
        if self._warm.facts is not None:
            self.on_warm(self._warm.facts)

    def _wanted(self, environment: Environment, folder: str) -> dict[str, object]:
        return {"package": "", "environment": {}}

    def _folder(self) -> str:
        return ""

    def _free(self) -> bool:
        return free(self.cell) if self._owned else super()._free()


def free(cell: Cell) -> bool:
    """Free a cell of somebody's own user: never by that user, since not all that it runs is ours."""
    if cell.group is not None and not cell.group.end():
        return False
    cell.group = None
    return True


class Pool(CPythonRunner):
    """Places with the project in them. `owner` is whom root becomes for it, None where it has no say."""

    def __init__(self, stock: Stock, project: Project, owner: int | None, *, warm: int, most: int) -> None:
        super().__init__(stock, warm=warm, most=most)
        self.project = project
        self.facts: Facts | None = None
        self._owner = owner

    async def child(self, limits: Limits) -> DjangoChild:
        """A child of the project as its files are now. Raises OstiaryError."""
        for _ in range(_TRIES):
            made = await self.worker(limits, Environment())
            if not isinstance(made, DjangoChild):
                raise GatewayFault("a child of another kind")
            if await made.changed(Between()) == []:
                return made
            self.retire()
            self._chores.start(made.close())
        raise GatewayFault("the project keeps changing", hint="try again when its files are left alone")

    def retire(self) -> None:
        """No place that is open now has another child: the project has changed since it was loaded."""
        for place in self._places:
            if isinstance(place, DjangoPlace):
                place.retired = True
        idle, self._idle = self._idle, []
        for place in idle:
            self._chores.start(self._drop(place))

    async def reopen(self) -> None:
        """One place that is warm with the project as it is now. Raises OstiaryError."""
        self._rest(await self._open())

    def _cell(self) -> Cell:
        cells = self._stock.walls.cells
        cell = Cell(self._owner, cells.take_group()) if self._owner is not None else cells.take()
        if cell.uid is not None:
            try:
                check_reach((bind.source for bind in self.project.binds()), cell.uid)
            except BaseException:
                if self._owner is not None:
                    free(cell)
                else:
                    cells.give_back(cell)
                raise
        return cell

    def _place(self, cell: Cell) -> Place:
        place = DjangoPlace(
            Warm(self._stock, cell, self.project), cell, self._keeper, owned=self._owner is not None
        )
        place.on_warm = self._loaded
        return place

    def _loaded(self, facts: Facts) -> None:
        self.facts = facts

    def _worker(self, child: Child, limits: Limits, freed: Callable[[], Awaitable[None]]) -> DjangoChild:
        return DjangoChild(child, limits, freed)

    def _tell_of(self, place: Place) -> None:
        if not (isinstance(place, DjangoPlace) and place.retired):
            super()._tell_of(place)
