"""What approvers sign, and whose keys are believed (P5.1, P5.3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ostiary.approvals.request import FORM, Request, Resolution
from ostiary.approvals.statement import (
    MAX_APPROVERS,
    Approver,
    about_approver,
    about_lifting,
    about_verdict,
    believed,
    signed_by,
    trustworthy,
)
from tests.approvals.making import ANA, BEN, CAT, KEYS, NOW, Person, approved, request


def test_a_signed_answer_counts() -> None:
    assert signed_by(request(), ANA.says("approve", request(), note="seen"), KEYS)
    assert trustworthy(approved(request(), ANA), KEYS)


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "deny"},
        {"note": "fine"},
        {"at": NOW + 1},
        {"approver": BEN.name},
        {"approver": "user:eve"},
        {"signature": b""},
        {"signature": bytes(64)},
    ],
    ids=str,
)
def test_an_answer_that_was_edited_does_not_count(changes: dict[str, Any]) -> None:
    said = ANA.says("approve", request(), note="seen")

    assert not signed_by(request(), msgspec.structs.replace(said, **changes), KEYS)


@pytest.mark.parametrize("field", [one for one in Request.__struct_fields__ if one != "approvers"])
def test_an_answer_is_for_one_request_and_all_of_it(field: str) -> None:
    """Neither another call nor a longer time can be made of it."""
    before: Any = getattr(request(), field)
    change = {str: f"{before}x", int: 1, bool: True, tuple: ("x",)}[type(before)]
    edited = request(**{field: before + 1 if isinstance(before, int) and before else change})

    assert edited != request()
    assert not signed_by(edited, ANA.says("approve", request()), KEYS)


def test_a_request_cannot_be_made_to_need_fewer_approvers() -> None:
    both = request(approvers=((ANA.name,), (BEN.name,)))
    said = ANA.says("approve", both)
    standing = approved(both, ANA, BEN)

    assert trustworthy(standing, KEYS)
    assert not trustworthy(msgspec.structs.replace(standing, resolutions=(said,)), KEYS)
    fewer = msgspec.structs.replace(both, approvers=((ANA.name,),))
    assert not trustworthy(msgspec.structs.replace(standing, request=fewer, resolutions=(said,)), KEYS)


def test_a_denial_is_no_approval_however_it_is_signed() -> None:
    standing = msgspec.structs.replace(approved(request()), resolutions=(ANA.says("deny", request()),))

    assert not trustworthy(standing, KEYS)


def test_who_asked_cannot_have_approved_however_it_is_signed() -> None:
    own = request(principal=ANA.name)

    assert not trustworthy(approved(own, ANA), KEYS)
    assert trustworthy(approved(own, ANA, BEN), KEYS)


def test_the_form_of_the_client_approves_nothing_by_signature() -> None:
    forged = Resolution(approver=FORM, verdict="approve", at=NOW)

    assert not trustworthy(msgspec.structs.replace(approved(request()), resolutions=(forged,)), KEYS)


def test_another_approvers_key_does_not_sign_for_me() -> None:
    assert not signed_by(request(), BEN.says("approve", request(), name=ANA.name), KEYS)


def test_statements_of_different_kinds_are_never_the_same_bytes() -> None:
    texts = {
        about_verdict(request(), "a", "approve", "", 1),
        about_approver("a", b"", 1, "approve"),
        about_lifting("a", "b", 1, 1, "c"),
        about_verdict(request(), 'a","approve', "approve", "", 1),
    }

    assert len(texts) == 4


# The register.


def test_the_first_approver_is_believed_and_those_they_vouch_for() -> None:
    register = [ANA.introduced_by(None), BEN.introduced_by(ANA), CAT.introduced_by(BEN)]

    assert believed(register) == KEYS
    assert believed([]) == {}


EVE = Person.called("eve")


@pytest.mark.parametrize(
    ("register", "said"),
    [
        ([ANA.introduced_by(None), EVE.introduced_by(None)], "signed for `user:eve`"),
        ([ANA.introduced_by(None), EVE.introduced_by(EVE)], "signed for `user:eve`"),
        ([ANA.introduced_by(None), CAT.introduced_by(BEN), BEN.introduced_by(ANA)], "signed for `user:cat`"),
        (
            [
                ANA.introduced_by(None),
                msgspec.structs.replace(BEN.introduced_by(ANA), public=EVE.public),
            ],
            "signed for `user:ben`",
        ),
        (
            [
                ANA.introduced_by(None),
                msgspec.structs.replace(BEN.introduced_by(ANA), name="user:eve"),
            ],
            "signed for `user:eve`",
        ),
        (
            [ANA.introduced_by(None), msgspec.structs.replace(EVE.introduced_by(EVE), sponsor=ANA.name)],
            "signed for `user:eve`",
        ),
        ([ANA.introduced_by(None), msgspec.structs.replace(ANA.introduced_by(ANA))], "cannot be registered"),
        ([msgspec.structs.replace(ANA.introduced_by(None), name=FORM)], "cannot be registered"),
        ([ANA.introduced_by(None)] * (MAX_APPROVERS + 1), "more than 64 approvers"),
    ],
    ids=[
        "no sponsor", "own sponsor", "sponsor comes later", "another key", "another name",
        "forged signature", "same name twice", "name of the form", "too many",
    ],
)  # fmt: skip
def test_a_register_with_anybody_who_is_not_vouched_for_is_not_believed(
    register: list[Approver], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        believed(register)
