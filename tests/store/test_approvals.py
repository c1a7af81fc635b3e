"""Approvals in the transaction of the journal: asked once, answered by signature, used once (P5)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ostiary.approvals.step import (
    MAX_PENDING,
    Crowded,
    FormAnswer,
    Redeemed,
    Resolve,
    Stepped,
    Turned,
    Unchanged,
    Waiting,
)
from ostiary.calls.journal import Committed, Entry, Exceeded, NotStored, Reply
from ostiary.errors import GatewayFault
from ostiary.store.approvals import CHANGED, KEPT, ApprovalTable, trust_nobody
from ostiary.store.verify import verify
from tests.store.asking import ANA, BEN, CAT, LIFE, Office, entry, event
from tests.store.test_sqlite import Failing
from tests.store.writing import SECOND, World, intent, runs


def waiting(reply: Reply) -> Waiting:
    assert isinstance(reply, Waiting), reply
    return reply


@pytest.fixture
def world(state_dir: Path) -> World:
    return World(state_dir)


# Asking.


def test_the_first_such_call_asks_and_leaves_a_row_that_says_so(world: World) -> None:
    with Office.opened(world) as office:
        asked = office.ask()
        reply = office.take(asked, runs())

        assert reply == Waiting(asked.request.id, office.now + LIFE, joined=False)
        assert office.store.view.ledger.used("runs", office.now) == 0

    assert [(row["kind"], row["decision"], row["reasons"]) for row in world.bodies()] == [
        ("denial", "hold", ["Waiting"])
    ]


def test_an_identical_call_joins_the_request_that_waits(world: World) -> None:
    """A bug found in review of another gateway: the window in which calls join was ignored there."""
    with Office.opened(world) as office:
        first = waiting(office.take(office.ask()))
        world.times.pass_(60)
        second = waiting(office.take(office.ask()))

        assert (second.id, second.joined, second.expires) == (first.id, True, first.expires)
    assert world.sql("SELECT count(*) FROM approvals") == [(1,)]


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"call "},
        {"principal": "user:eve"},
        {"grant": "other"},
        {"server": "other"},
        {"tool": "other"},
        {"definition": "sha256:other"},
        {"revision": "sha256:other"},
    ],
    ids=str,
)
def test_any_part_that_differs_is_another_request(world: World, change: dict[str, Any]) -> None:
    """P5.7: principal, server, tool, definition, revision and the exact call."""
    with Office.opened(world) as office:
        first = waiting(office.take(office.ask()))
        office.answer(first.id, ANA)
        other = office.take(office.ask(**change))

        assert waiting(other).joined is False
        assert office.state(first.id) == "approved"


def test_twenty_of_one_grant_wait_and_the_next_is_turned_away(world: World) -> None:
    """P5.2. Another grant is not kept from asking, and one that is answered makes room."""
    with Office.opened(world) as office:
        ids = [waiting(office.take(office.ask(b"%d" % number))).id for number in range(MAX_PENDING)]

        assert office.take(office.ask(b"more")) == Crowded()
        assert waiting(office.take(office.ask(b"0"))).id == ids[0]
        assert waiting(office.take(office.ask(b"more", grant="other"))).joined is False
        office.answer(ids[3], ANA, verdict="deny")
        assert waiting(office.take(office.ask(b"more"))).joined is False


def test_limits_are_read_before_anybody_is_asked(world: World) -> None:
    """P2.13: what a limit refuses cannot be requested."""
    with Office.opened(world) as office:
        office.store.commit([intent("a", runs(ceiling=1))])

        assert isinstance(office.take(office.ask(), runs(ceiling=1)), Exceeded)
    assert world.sql("SELECT count(*) FROM approvals") == [(0,)]


def test_a_call_that_has_waited_asks_nobody_again(world: World) -> None:
    """It has the id of its request, which made a second one clash and failed everybody's transaction."""
    with Office.opened(world) as office:
        first = office.ask()
        office.take(first)
        world.times.pass_(1800)
        again = msgspec.structs.replace(first, waited=first.request.id)
        replies = office.store.commit([entry(again), intent("other")])

        assert replies == [Turned(first.request.id, "expired", "", first.request.expires), Committed()]


@pytest.mark.parametrize("state", ["cancelled", "consumed", "pending"])
def test_a_call_that_has_waited_hears_what_became_of_its_request(world: World, state: str) -> None:
    with Office.opened(world) as office:
        first = office.ask()
        office.take(first)
        if state == "cancelled":
            office.settle(first.request.id, "cancelled", "the policy has changed")
        elif state == "consumed":
            office.answer(first.request.id, ANA)
            assert office.take(office.ask()) == Redeemed(first.request.id)
        renewed = msgspec.structs.replace(first.request, revision="sha256:new")
        asked = renewed if state == "pending" else first.request
        reply = office.take(msgspec.structs.replace(first, request=asked, waited=first.request.id))

    assert isinstance(reply, Turned)
    assert reply.state == ("cancelled" if state == "pending" else state)
    assert reply.note == ("" if state == "consumed" else "the policy has changed")


# Redeeming.


def test_an_approved_call_passes_once(world: World) -> None:
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        assert isinstance(office.answer(request_id, ANA, note="seen"), Stepped)

        assert office.take(office.ask(), runs()) == Redeemed(request_id)
        assert office.store.view.ledger.used("runs", office.now) == 1
        assert office.state(request_id) == "consumed"
        assert waiting(office.take(office.ask())).id != request_id

    row = next(body for body in world.bodies() if body["kind"] == "intent")
    assert (row["approval"], row["reservations"][0][0]) == (request_id, "runs")


def test_one_approval_is_not_consumed_by_two_rows(world: World) -> None:
    """A bug found in review of another gateway: two calls of one transaction both passed there."""
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        replies = office.store.commit([entry(office.ask()), entry(office.ask())])

    assert replies[0] == Redeemed(request_id)
    assert waiting(replies[1]).id != request_id
    assert len([body for body in world.bodies() if body["kind"] == "intent"]) == 1


def test_two_stores_on_one_file_redeem_one_approval(world: World) -> None:
    with Office.opened(world) as one, Office.opened(world) as other:
        request_id = waiting(one.take(one.ask())).id
        other.answer(request_id, ANA)
        replies = [one.take(one.ask()), other.take(other.ask(id="apr_z"))]

    assert [type(reply) for reply in replies] == [Redeemed, Waiting]


def test_a_limit_that_is_reached_leaves_the_approval_unused(world: World) -> None:
    """P2.15: it stays valid until it expires, for the time when the limit lets the call pass."""
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        office.store.commit([intent("a", runs(ceiling=1))])
        assert isinstance(office.take(office.ask(), runs(ceiling=1)), Exceeded)
        assert office.state(request_id) == "approved"
        world.times.pass_(61)

        assert office.take(office.ask(), runs(ceiling=1)) == Redeemed(request_id)


@pytest.mark.parametrize("after", [1800, 10**6])
def test_an_approval_that_has_expired_is_not_redeemed(world: World, after: int) -> None:
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        world.times.pass_(after)

        assert waiting(office.take(office.ask())).id != request_id


def test_an_approval_lives_to_its_last_microsecond(world: World) -> None:
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        world.times.wall += 1800 * SECOND - 1
        world.times.boot += 1800 * SECOND - 1

        assert office.take(office.ask()) == Redeemed(request_id)


def test_every_set_of_approvers_has_to_agree_before_it_is_redeemed(world: World) -> None:
    both: dict[str, Any] = {"approvers": ((ANA.name,), (BEN.name, CAT.name))}
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask(**both))).id
        office.answer(request_id, ANA)
        assert waiting(office.take(office.ask(**both))).joined
        office.answer(request_id, CAT)

        assert office.take(office.ask(**both)) == Redeemed(request_id)


def test_a_denial_stands_until_the_request_would_have_expired(world: World) -> None:
    """Asking again is no way around it."""
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA, verdict="deny", note="not on a Friday")
        expires = office.now + LIFE
        for _ in range(2):
            assert office.take(office.ask()) == Turned(request_id, "denied", "not on a Friday", expires)
        world.times.pass_(1800)

        assert waiting(office.take(office.ask())).id != request_id


@pytest.mark.parametrize("state", ["approved", "denied", "expired", "cancelled", "consumed"])
def test_what_is_not_pending_cannot_be_approved(world: World, state: str) -> None:
    """A bug found in review of another gateway: used and expired records were approved again there."""
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        if state in ("approved", "consumed"):
            office.answer(request_id, ANA)
        if state == "consumed":
            assert office.take(office.ask()) == Redeemed(request_id)
        elif state == "denied":
            office.answer(request_id, ANA, verdict="deny")
        elif state == "cancelled":
            office.settle(request_id, "cancelled")
        elif state == "expired":
            world.times.pass_(1800)
        rows = len(world.bodies())
        reply = office.answer(request_id, BEN)

        assert isinstance(reply, Unchanged)
        assert reply.reason.startswith("this request is ")
        assert len(world.bodies()) == rows
        assert not isinstance(office.take(office.ask()), Redeemed) or state == "approved"


def test_an_answer_to_what_nobody_asked_changes_nothing(world: World) -> None:
    with Office.opened(world) as office:
        asked = office.ask()
        said = ANA.says("approve", asked.request)
        reply = office.store.commit([Entry(event("e"), step=Resolve(asked.request.id, said))])[0]

    assert reply == Unchanged("there is no such request")
    assert world.bodies() == []


def test_only_what_is_open_is_settled_and_expiry_not_before_its_time(world: World) -> None:
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id

        assert office.settle(request_id, "expired") == Unchanged("its time is not up")
        assert isinstance(office.settle(request_id, "cancelled", "why"), Stepped)
        assert office.settle(request_id, "cancelled") == Unchanged("it is over already")
        assert office.settle("apr_none", "cancelled") == Unchanged("it is over already")


# The client's own user.


def form(request_id: str, verdict: Any) -> FormAnswer:
    return FormAnswer(request_id, verdict)


def test_a_form_counts_once_and_only_where_the_policy_says_so(world: World) -> None:
    with Office.opened(world) as office:
        strict = waiting(office.take(office.ask()))
        assert waiting(office.take(office.ask(form=form(strict.id, "approve")))).joined
        easy = waiting(office.take(office.ask(b"easy", convenience=True)))
        said = form(easy.id, "approve")

        assert office.take(office.ask(b"easy", convenience=True, form=said)) == Redeemed(easy.id)
        again = office.take(office.ask(b"easy", convenience=True, form=said))
        assert waiting(again).id != easy.id


@pytest.mark.parametrize(("verdict", "kind"), [("deny", Turned), ("decline", Waiting)])
def test_a_form_can_deny_and_dismissing_it_answers_nothing(world: World, verdict: str, kind: type) -> None:
    with Office.opened(world) as office:
        asked = waiting(office.take(office.ask(convenience=True)))

        reply = office.take(office.ask(convenience=True, form=form(asked.id, verdict)))
        assert isinstance(reply, kind)


def test_a_form_about_another_request_answers_nothing(world: World) -> None:
    with Office.opened(world) as office:
        one = waiting(office.take(office.ask(b"one", convenience=True)))
        two = waiting(office.take(office.ask(b"two", convenience=True)))
        reply = office.take(office.ask(b"two", convenience=True, form=form(one.id, "approve")))

        assert waiting(reply).id == two.id
        assert office.state(one.id) == "pending"


# When the disk or the row fails.


@pytest.mark.parametrize("statement", ["COMMIT", "BEGIN IMMEDIATE"])
def test_a_transaction_that_fails_leaves_the_approval_as_it_was(world: World, statement: str) -> None:
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        with office.through(lambda real: Failing(real, statement, sqlite3.SQLITE_FULL)):
            assert office.take(office.ask(), runs()) == NotStored("the disk is full")
        assert office.state(request_id) == "approved"

        assert office.take(office.ask(), runs()) == Redeemed(request_id)


def test_a_commit_that_failed_after_reaching_the_disk_has_used_the_approval(world: World) -> None:
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        with office.through(lambda real: Failing(real, "COMMIT", sqlite3.SQLITE_IOERR, after=True)):
            assert isinstance(office.take(office.ask()), NotStored)

        assert waiting(office.take(office.ask())).id != request_id


def test_a_store_error_never_falls_through_to_a_new_pending_request(world: World) -> None:
    """A bug found in review of another gateway: what could not be looked up was asked anew there."""
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        world.sql("UPDATE approvals SET body = '{'")
        replies = office.store.commit([entry(office.ask()), intent("other")])

    assert isinstance(replies[0], Unchanged)
    assert replies[1] == Committed()
    assert world.sql("SELECT count(*) FROM approvals") == [(1,)]


def test_a_record_that_cannot_be_written_uses_no_approval(world: World) -> None:
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        held = entry(office.ask(), runs())
        bad = msgspec.structs.replace(held, record=msgspec.structs.replace(held.record, tool="\ud800"))

        assert isinstance(office.store.commit([bad])[0], NotStored)
        assert office.state(request_id) == "approved"
        assert office.store.view.ledger.used("runs", office.now) == 0


def test_without_registered_approvers_nothing_is_ever_approved(world: World) -> None:
    with Office.opened(world) as office:
        office.store.approvals.trust = trust_nobody
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)

        assert isinstance(office.take(office.ask()), Turned)
        assert office.state(request_id) == "cancelled"


# Somebody with an editor (P5.8).


def forged(world: World, office: Office, how: str) -> str:
    """A request, tampered with as `how` says; its id."""
    request_id = waiting(office.take(office.ask())).id
    if how == "state":
        world.sql("UPDATE approvals SET state = 'approved'")
        return request_id
    office.answer(request_id, ANA)
    other = waiting(office.take(office.ask(b"other"))).id
    if how == "signature":
        office.answer(other, ANA)
        world.sql(
            "UPDATE resolutions SET signature = (SELECT signature FROM resolutions WHERE approval = ?)"
            " WHERE approval = ?", other, request_id,
        )  # fmt: skip
    elif how == "approver":
        world.sql("UPDATE resolutions SET approver = ?", BEN.name)
    elif how == "verdict":
        office.answer(other, ANA, verdict="deny")
        world.sql("UPDATE approvals SET state = 'approved'")
        world.sql("UPDATE resolutions SET verdict = 'approve'")
        return other
    elif how == "note":
        world.sql("UPDATE resolutions SET note = 'x'")
    elif how == "type":
        world.sql("UPDATE resolutions SET signature = 4000000000")
    elif how == "time":
        world.sql("UPDATE resolutions SET at = 'never'")
    elif how == "no answers":
        world.sql("DELETE FROM resolutions")
    return request_id


@pytest.mark.parametrize(
    "how", ["state", "signature", "approver", "verdict", "note", "type", "time", "no answers"]
)
def test_a_row_that_says_approved_counts_for_nothing_without_signatures(world: World, how: str) -> None:
    with Office.opened(world) as office:
        changed = forged(world, office, how)
        content = b"other" if how == "verdict" else b"call"
        replies = office.store.commit([entry(office.ask(content)), intent("beside")])

        assert isinstance(replies[0], Turned | Unchanged)
        assert replies[1] == Committed()
        assert office.state(changed) in ("cancelled", "approved")
    assert not [body for body in world.bodies() if body["kind"] == "intent" and body["id"] != "beside"]


def test_malformed_timestamps_are_an_error_and_not_zero(world: World) -> None:
    """A bug found in review of another gateway: there they were read as the beginning of time."""
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        for column, value in (
            ("ended", "'soon'"),
            ("body", """replace(body, '"expires":1', '"expires":"1')"""),
        ):
            world.sql(f"UPDATE approvals SET {column} = {value}")
            with pytest.raises(GatewayFault, match="cannot be read"):
                office.standing(request_id)


def test_an_approval_of_one_call_cannot_be_put_under_another(world: World) -> None:
    """Who can write to the database shows the approver a harmless call, and points it at another."""
    with Office.opened(world) as office:
        evil = waiting(office.take(office.ask(b"evil"))).id
        nice = waiting(office.take(office.ask(b"nice"))).id
        office.answer(nice, ANA)
        world.sql(
            "UPDATE approvals SET state = 'denied', binding = x'00',"
            " body = (SELECT body FROM approvals WHERE id = ?) WHERE id = ?", nice, nice,
        )  # fmt: skip
        ((binding,),) = world.sql("SELECT binding FROM approvals WHERE id = ?", evil)
        world.sql("DELETE FROM approvals WHERE id = ?", evil)
        world.sql("UPDATE approvals SET state = 'approved', binding = ? WHERE id = ?", binding, nice)

        reply = office.take(office.ask(b"evil"))
        assert isinstance(reply, Turned)
        assert (reply.id, reply.state, reply.note) == (nice, "cancelled", CHANGED)


@pytest.mark.parametrize("terms", ["approvers", "expires", "convenience"])
def test_terms_that_are_not_those_of_the_policy_do_not_count(world: World, terms: str) -> None:
    """Who can write to the database has one approver sign where two are needed, or waits longer."""
    needed: dict[str, Any] = {"approvers": ((ANA.name,), (BEN.name,))}
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask(**needed))).id
        before = office.standing(request_id).request
        changes: dict[str, Any] = {
            "approvers": {"approvers": ((ANA.name,),)},
            "expires": {"expires": before.expires + SECOND},
            "convenience": {"convenience": True},
        }
        body = msgspec.json.encode(msgspec.structs.replace(before, **changes[terms])).decode()
        world.sql("UPDATE approvals SET body = ?", body)
        office.answer(request_id, ANA)
        office.answer(request_id, BEN)
        assert office.state(request_id) == "approved"

        reply = office.take(office.ask(**needed))
        assert isinstance(reply, Turned)
        assert reply.note == CHANGED


def test_a_used_approval_that_is_set_back_is_not_used_again_by_the_same_process(world: World) -> None:
    """Its signatures are still good, and it stands in the row as before."""
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        assert office.take(office.ask()) == Redeemed(request_id)
        world.sql("UPDATE approvals SET state = 'approved'")

        reply = office.take(office.ask())
        assert isinstance(reply, Turned)
        assert reply.note == CHANGED


def test_the_log_shows_that_an_approval_was_used_twice(world: World) -> None:
    """A process that is started anew has only the row and its signatures, and somebody set the row back."""
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
        office.take(office.ask())
        assert verify(world.state).ok
    world.sql("UPDATE approvals SET state = 'approved'")
    with Office.opened(world) as office:
        assert office.take(office.ask(id="apr_later")) == Redeemed(request_id)

    report = verify(world.state)
    assert [problem.kind for problem in report.problems] == ["reused"]
    assert "by an approval that row" in report.problems[0].message


def test_the_call_is_kept_encrypted_until_the_request_is_over(world: World) -> None:
    """P5.1, and it can be opened for its own request only."""
    with Office.opened(world) as office:
        one = waiting(office.take(office.ask(b"the secret call"))).id
        two = waiting(office.take(office.ask(b"another"))).id
        keys = office.store.keys
        ((sealed,), (other,)) = world.sql("SELECT sealed FROM approvals ORDER BY id")
        table = ApprovalTable(keys.approvals, keys.audit)
        request = office.standing(one).request

        assert b"secret" not in (world.folder / "ostiary.db-wal").read_bytes()
        assert table.unseal(sealed, request) == b"the secret call"
        for wrong in (other, sealed[:-1], sealed[:12] + bytes([sealed[12] ^ 1]) + sealed[13:], b""):
            with pytest.raises(GatewayFault):
                table.unseal(wrong, request)
        with pytest.raises(GatewayFault, match="not the one that was asked about"):
            table.unseal(sealed, msgspec.structs.replace(request, digest="hmac-sha256:other"))

        office.answer(one, ANA, verdict="deny")
        office.settle(two, "cancelled")
        assert world.sql("SELECT sealed FROM approvals") == [(None,), (None,)]


# Durability, restart, forgetting.


@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_is_about_an_approval_is_synced_before_it_counts(world: World, durability: Any) -> None:
    """Whatever the level, which other transactions beside it are synced by."""
    usual = 1 if durability == "process" else 2
    seen: list[tuple[str, int]] = []

    class Watching:
        def __init__(self, real: sqlite3.Connection) -> None:
            self.real = real

        def execute(self, sql: str, *values: Any) -> Any:
            if sql == "COMMIT":
                ((level,),) = self.real.execute("PRAGMA synchronous").fetchall()
                seen.append((sql, level))
            return self.real.execute(sql, *values)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    with Office.opened(world, durability=durability) as office, office.through(Watching):
        office.store.commit([intent("a")])
        request_id = waiting(office.take(office.ask())).id
        office.store.commit([intent("b")])
        office.answer(request_id, ANA)
        office.take(office.ask())
        office.settle(request_id, "cancelled")
        office.store.commit([intent("c")])

    assert [level for _, level in seen] == [usual, 2, usual, 2, 2, 2, usual]


def test_a_store_whose_sync_cannot_be_relaxed_goes_on(world: World) -> None:
    """Every commit is then synced: slow, and no reason to fail a call that is durable."""
    with Office.opened(world) as office:
        relax = "PRAGMA synchronous = NORMAL"
        with office.through(lambda real: Failing(real, relax, sqlite3.SQLITE_ERROR)):
            assert isinstance(office.take(office.ask()), Waiting)


def test_requests_and_approvals_survive_a_restart(world: World) -> None:
    with Office.opened(world) as office:
        pending = waiting(office.take(office.ask(b"one"))).id
        approved = waiting(office.take(office.ask(b"two"))).id
        office.answer(approved, ANA)
    with Office.opened(world) as office:
        assert waiting(office.take(office.ask(b"one", id="apr_later"))).id == pending
        assert office.take(office.ask(b"two", id="apr_later2")) == Redeemed(approved)
        assert verify(world.state).ok


def test_what_has_been_over_for_long_is_forgotten_at_the_next_start(world: World) -> None:
    with Office.opened(world) as office:
        request_id = waiting(office.take(office.ask())).id
        office.answer(request_id, ANA)
    world.times.pass_((KEPT + LIFE) / SECOND)
    with Office.opened(world):
        assert world.sql("SELECT count(*) FROM approvals") == [(1,)]
    world.times.pass_(1)
    with Office.opened(world):
        assert world.sql("SELECT count(*) FROM approvals") == [(0,)]
        assert world.sql("SELECT count(*) FROM resolutions") == [(0,)]
