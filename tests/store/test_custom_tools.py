"""Custom tools and requests for servers in the database: names, versions, bounds, races, an older schema."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ostiary.errors import CallerFault, GatewayFault
from ostiary.store import aside, custom_tools, migrate, server_requests
from ostiary.store.code_shelf import CodeShelf
from ostiary.store.custom_tools import Definition, Version
from ostiary.store.opening import open_store
from ostiary.store.state import StateDir, open_state

PLAIN = Definition(description="d", input_schema={"type": "object"})
PUBLIC = Definition(description="d", input_schema={"type": "object"}, public=True)


@pytest.fixture
def state(state_dir: Path) -> StateDir:
    open_store(open_state(state_dir)).close()
    return open_state(state_dir)


def saved(
    state: StateDir, name: str, owner: str = "ann", what: Definition = PLAIN, *, new: bool = True
) -> Version:
    return custom_tools.save(state, owner, name, what, "1", at=1, new=new)


def removed(state: StateDir, name: str, owner: str | None) -> bool:
    with aside.transaction(state) as connection:
        return custom_tools.remove(connection, name, owner)


def test_versions_are_written_once_and_count_on_after_a_removal(state: StateDir) -> None:
    assert [saved(state, "x").number, saved(state, "x", new=False).number] == [1, 2]
    assert custom_tools.remove_own(state, "x", "ann")
    assert not custom_tools.remove_own(state, "x", "ann")
    assert saved(state, "x").number == 3

    with (
        closing(sqlite3.connect(state.database)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="only added"),
    ):
        connection.execute("UPDATE custom_tool_versions SET script = 'other'")


def test_a_name_stays_with_its_owner_until_an_operator_frees_it(state: StateDir) -> None:
    saved(state, "x")
    custom_tools.remove_own(state, "x", "ann")
    for name in ("x", "X"):
        with pytest.raises(CallerFault, match="is taken"):
            saved(state, name, "ben")

    assert removed(state, "x", None)

    assert saved(state, "x", "ben").owner == "ben"


def test_only_what_there_is_can_be_updated_and_only_by_its_owner(state: StateDir) -> None:
    saved(state, "x")
    for name, owner in (("x", "ben"), ("y", "ann"), ("X", "ann")):
        with pytest.raises(CallerFault, match="you have no custom tool"):
            saved(state, name, owner, new=False)
    with pytest.raises(CallerFault, match="is there already"):
        saved(state, "x")


@pytest.mark.parametrize(
    ("bound", "most", "said"),
    [
        ("MAX_OF_OWNER", 2, "2 tools of yours"),
        ("MAX_ALL", 2, "2 custom tools"),
        ("MAX_PUBLIC", 2, "2 public tools"),
        ("MAX_OWNER_BYTES", 500, "over 500 bytes"),
        ("MAX_OWNER_PUBLIC", 500, "your public tools would take over 500 bytes"),
        ("MAX_PUBLIC_BYTES", 500, "all public tools would take over 500 bytes"),
    ],
)
def test_there_is_a_bound_on_how_many_and_how_large(
    state: StateDir, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, said: str
) -> None:
    monkeypatch.setattr(custom_tools, bound, most)
    saved(state, "a", what=PUBLIC)
    saved(state, "b", what=PUBLIC)

    with pytest.raises(CallerFault, match=said):
        saved(state, "c", what=PUBLIC)


def test_what_is_public_is_bounded_whoever_makes_it_and_what_is_private_apart(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custom_tools, "MAX_OWNER_PUBLIC", 500)
    monkeypatch.setattr(custom_tools, "MAX_PUBLIC_BYTES", 800)
    for number in range(4):
        saved(state, f"x{number}", f"grant-{number % 2}", PUBLIC)

    with pytest.raises(CallerFault, match="all public tools would take over 800 bytes"):
        saved(state, "y", "grant-2", PUBLIC)
    saved(state, "y", "grant-0")
    saved(state, "x0", "grant-0", PUBLIC, new=False)  # in the place of what it was


def test_a_tool_has_so_many_versions_and_no_more(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom_tools, "MAX_VERSIONS", 2)
    saved(state, "a")
    saved(state, "a", new=False)

    with pytest.raises(CallerFault, match="2 versions of this tool"):
        saved(state, "a", new=False)


def test_of_many_who_save_one_name_at_once_one_gets_it(state: StateDir) -> None:
    told: list[str] = []

    def save(owner: str) -> None:
        try:
            told.append(saved(state, "x", owner).owner)
        except CallerFault as fault:
            told.append(fault.message)

    threads = [threading.Thread(target=save, args=(f"grant-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=5)

    assert sorted(told)[1:] == ["the name `x` is taken"] * 5


def test_a_database_that_is_locked_or_full_keeps_nothing_and_says_so(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "WAIT_S", 0.05)
    with closing(sqlite3.connect(state.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GatewayFault, match="another process holds the database lock"):
            saved(state, "x")
        other.execute("ROLLBACK")

    def full(path: Path, durability: object) -> sqlite3.Connection:
        connection = connect(path, "power")
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    connect = aside.connect
    monkeypatch.setattr(aside, "connect", full)
    with pytest.raises(GatewayFault, match="the disk is full"):
        custom_tools.save(state, "ann", "x", PLAIN, "1" * 200_000, at=1, new=True)
    monkeypatch.undo()

    assert saved(state, "x").number == 1


def test_a_client_is_not_told_where_the_database_is(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "WAIT_S", 0.05)
    shelf = CodeShelf(state)
    with closing(sqlite3.connect(state.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GatewayFault) as caught:
            shelf.save("ann", "x", PLAIN, "1", at=1, new=True)
    assert caught.value.message == "cannot use the store: another process holds the database lock"


def test_a_shelf_has_news_when_another_process_has_written(state: StateDir) -> None:
    shelf = CodeShelf(state)
    assert shelf.news()
    assert not shelf.news()

    saved(state, "x")
    assert shelf.news()
    assert [one.name for one in shelf.newest()] == ["x"]
    with aside.transaction(state) as connection:  # something else
        connection.execute("INSERT INTO instances VALUES ('i', 1, 1, 1)")
    assert not shelf.news()
    shelf.close()


def test_a_state_directory_from_before_there_were_custom_tools_is_brought_up_to_date(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = migrate.scripts()[:4]
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "scripts", lambda: older)
        open_store(open_state(state_dir)).close()

    open_store(open_state(state_dir)).close()

    assert saved(open_state(state_dir), "x").number == 1


def test_a_request_is_filed_once_and_the_last_word_of_an_operator_counts(state: StateDir) -> None:
    def filed(owner: str = "ann") -> tuple[server_requests.ServerRequest, bool]:
        return server_requests.file(state, owner, "Web", "https://a.example.org/", {}, "why", at=1)

    first, new = filed()
    again, renewed = filed()
    other, _ = filed("ben")
    assert (new, renewed, again) == (True, False, first)

    with aside.transaction(state) as connection:
        server_requests.decide(connection, first.number, "approved", who="user:ops", note="", at=2)
    assert filed()[0].state == "approved"
    with (
        pytest.raises(CallerFault, match="approved by the name `Web`"),
        aside.transaction(state) as connection,
    ):
        server_requests.decide(connection, other.number, "approved", who="user:ops", note="", at=3)
    with pytest.raises(CallerFault, match="no request 99"), aside.transaction(state) as connection:
        server_requests.decide(connection, 99, "rejected", who="user:ops", note="", at=3)


def test_an_owner_may_have_so_many_requests_waiting_and_rejected_ones_make_room(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_requests, "MAX_OF_OWNER", 2)
    monkeypatch.setattr(server_requests, "MAX_ALL", 2)

    def file(name: str, owner: str = "ann") -> int:
        return server_requests.file(state, owner, name, "https://a.example.org/", {}, "", at=1)[0].number

    first = file("A")
    file("B")
    with pytest.raises(CallerFault, match="2 requests of yours wait"):
        file("C")
    with pytest.raises(CallerFault, match="there are 2 requests"):
        file("C", "ben")
    with aside.transaction(state) as connection:
        server_requests.decide(connection, first, "rejected", who="user:ops", note="", at=2)

    file("C")
    with aside.transaction(state) as connection:
        assert [one.name for one in server_requests.listed(connection)] == ["B", "C"]
