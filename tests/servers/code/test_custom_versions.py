"""Which version a call runs: the one that was listed when the gate took the call, whatever came since."""

from __future__ import annotations

import pytest

from ostiary.errors import GatewayFault
from ostiary.proxy.mint import Mint
from ostiary.servers.code.custom_tools import CustomTools
from ostiary.store.custom_tools import Definition, Stamp, Version


class Shelf:
    """Tools in memory; `broken` makes reading fail."""

    def __init__(self) -> None:
        self.tools: dict[str, Version] = {}
        self.fresh = True
        self.broken = False

    def put(self, name: str, number: int, owner: str = "ann", *, public: bool = False) -> None:
        definition = Definition(description="d", input_schema={}, public=public)
        self.tools[name] = Version(
            owner=owner, name=name, number=number, at=0, digest=f"{number}", definition=definition
        )
        self.fresh = True

    def news(self) -> bool:
        fresh, self.fresh = self.fresh, False
        return fresh

    def forget(self) -> None:
        self.fresh = True

    def newest(self) -> list[Version]:
        if self.broken:
            raise GatewayFault("the disk reported an input/output error")
        return list(self.tools.values())

    def find(self, name: str, number: int) -> Version | None:
        found = self.tools.get(name)
        return found if found is not None and found.number == number else None

    def history(self, name: str) -> list[Stamp]:
        return [Stamp(self.tools[name].number, 0, "")]

    def claim(self, owner: str, name: str, *, new: bool) -> None:
        raise NotImplementedError

    def save(
        self,
        owner: str,
        name: str,
        definition: Definition,
        script: str,
        *,
        at: int,
        new: bool,
        after: int = 0,
    ) -> Version:
        raise NotImplementedError

    def remove(self, owner: str, name: str) -> bool:
        raise NotImplementedError


class World:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000
        self.told: list[frozenset[str]] = []
        self.shelf = Shelf()
        self.tools = CustomTools(self.shelf, lambda: self.now, self.told.append)
        self.mint = Mint(lambda: self.now)

    def later(self) -> None:
        self.now += 5_000


def test_a_call_that_was_decided_before_an_update_runs_what_was_decided_about() -> None:
    world = World()
    world.shelf.put("x", 1)
    world.tools.refresh()
    early = world.mint()
    world.later()
    world.shelf.put("x", 2)
    world.tools.refresh()
    world.later()

    assert world.tools.called("ann", "custom_x", early) == ("x", 1)
    assert world.tools.called("ann", "custom_x", world.mint()) == ("x", 2)
    assert world.tools.called("ann", "custom_x", "") == ("x", 2)
    assert world.tools.called("ann", "custom_x", "not an id") == ("x", 2)


@pytest.mark.parametrize("way", ["made anew", "many versions later"])
def test_a_call_that_came_before_all_that_is_known_of_a_tool_runs_nothing(way: str) -> None:
    world = World()
    world.shelf.put("x", 1)
    world.tools.refresh()
    early = world.mint()
    world.later()
    if way == "made anew":
        world.shelf.tools.clear()
        world.shelf.fresh = True
        world.tools.refresh()
    for number in range(2, 3 if way == "made anew" else 12):
        world.later()
        world.shelf.put("x", number)
        world.tools.refresh()
    world.later()

    assert world.tools.called("ann", "custom_x", early) is None
    assert world.tools.called("ann", "custom_x", world.mint()) == ("x", world.shelf.tools["x"].number)


def test_an_older_version_has_a_name_of_its_own() -> None:
    world = World()
    world.shelf.put("x", 3)
    world.tools.refresh()

    assert world.tools.called("ann", "custom_x.v2", "") == ("x", 2)
    for name in (
        "custom_x.v0",
        "custom_x.v4",
        "custom_x.v",
        "custom_x.v²",
        "custom_x.v02",
        "custom_x.v2.v1",
        "x",
        "custom_y",
    ):
        assert world.tools.called("ann", name, "") is None
    assert world.tools.called("ben", "custom_x.v2", "") is None


def test_who_is_shown_a_tool_hears_of_its_changes() -> None:
    world = World()
    world.shelf.put("mine", 1)
    world.shelf.put("all", 1, public=True)
    world.tools.refresh()
    world.shelf.put("mine", 2)
    world.tools.refresh()
    world.shelf.put("all", 2)
    world.tools.refresh()
    world.tools.refresh()

    assert world.told == [frozenset({"ann", ""}), frozenset({"ann"}), frozenset({"ann", ""})]


def test_while_the_database_cannot_be_read_everything_is_as_it_was() -> None:
    world = World()
    world.shelf.put("x", 1)
    world.tools.refresh()
    world.shelf.put("x", 2)
    world.shelf.broken = True

    for _ in range(2):
        try:
            world.tools.refresh()
        except GatewayFault:
            continue
        raise AssertionError("nobody was told")
    assert world.tools.called("ann", "custom_x", "") == ("x", 1)

    world.shelf.broken = False
    assert world.tools.refresh()
    assert world.tools.called("ann", "custom_x", "") == ("x", 2)
