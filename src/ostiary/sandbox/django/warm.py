"""The process that has loaded the project, as the host sees it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.cpython.zygote import Stock, Zygote
from ostiary.sandbox.django import program
from ostiary.sandbox.django.databases import Database
from ostiary.sandbox.django.project import Project
from ostiary.sandbox.isolation.box import Box
from ostiary.sandbox.isolation.cells import Cell

_MOST_SECRETS: Final = 256
_LONGEST_SECRET: Final = 4096

_LIBRARIES: Final = {"LD_LIBRARY_PATH": "/lib"}
"""The root's go before those of the host, of which one can be another Python's."""


_Word = Annotated[str, msgspec.Meta(max_length=100)]
_Words = Annotated[str, msgspec.Meta(max_length=10_000)]


class Facts(msgspec.Struct, frozen=True):
    """What it says once it has loaded the project, before code of anybody else's is there.

    Code of an earlier shell may have changed the project, so it is believed no more than any answer.
    """

    ready: bool
    django: _Word
    databases: Annotated[tuple[Database, ...], msgspec.Meta(max_length=1_000)]
    secrets: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=_LONGEST_SECRET)], ...],
        msgspec.Meta(max_length=_MOST_SECRETS),
    ]
    threads: int


class _Fault(msgspec.Struct, frozen=True):
    type: _Words
    message: _Words
    where: _Words


class _Failed(msgspec.Struct, frozen=True):
    fault: _Fault


class Warm(Zygote):
    """A project that is loaded, and forks a child of itself when it is asked for one."""

    def __init__(self, stock: Stock, cell: Cell, project: Project) -> None:
        super().__init__(stock, cell)
        self._project = project
        self.facts: Facts | None = None

    def _box(self, control: int) -> Box:
        stock = self.stock
        return Box(
            command=(stock.root.python, "-I", "-S", "-B", "-X", "utf8", "-c", program.boot(), str(control)),
            root=stock.root,
            binds=self._project.binds(),
            environment={**self._project.environment, **(_LIBRARIES if stock.walled else {})},
            pass_fds=(control,),
            tmp_bytes=stock.tmp_bytes,
            cell=self.cell,
            network=self._project.told.network,
        )

    def _program(self) -> bytes:
        stock, network = self.stock, self._project.told.network
        sockets = "loopback" if network else "unix"
        return program.start(
            {
                **self._project.settings(),
                "walled": stock.walled,
                "filter": stock.walls.filter(processes=True, sockets=sockets).hex(),
                "tmp_bytes": stock.tmp_bytes,
            }
        )

    def _take(self, word: bytes) -> None:
        try:
            told = msgspec.json.decode(word, type=dict[str, msgspec.Raw])
            if "fault" in told:
                raise self._failed(msgspec.json.decode(word, type=_Failed).fault)
            self.facts = msgspec.json.decode(word, type=Facts)
        except msgspec.MsgspecError as error:
            raise GatewayFault(f"the project said something else than that it is loaded: {error}") from error

    def _failed(self, fault: _Fault) -> CallerFault:
        text = ": ".join(part for part in (fault.type, fault.message) if part)
        return CallerFault(
            f"the project {self._project.folder} does not load: {text}", hint=fault.where or None
        )
