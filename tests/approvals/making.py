"""Words that the tests of approvals share: requests, approvers with keys, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ostiary.approvals.request import Request, Resolution, Standing, Verdict
from ostiary.approvals.statement import Approver, about_approver, about_verdict

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
REQUEST = Request(
    id="apr_1",
    grant="local",
    principal="grant:local",
    server="srv",
    tool="wipe",
    definition="sha256:d",
    revision="sha256:r",
    digest="hmac-sha256:c",
    asked=NOW,
    expires=NOW + 1800 * SECOND,
)


def request(**changes: Any) -> Request:
    return msgspec.structs.replace(REQUEST, **changes)


@dataclass(frozen=True)
class Person:
    """An approver and the private key that only they have."""

    name: str
    key: Ed25519PrivateKey

    @staticmethod
    def called(name: str) -> Person:
        return Person(f"user:{name}", Ed25519PrivateKey.generate())

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def says(
        self, verdict: Verdict, about: Request, *, note: str = "", at: int = NOW, name: str = ""
    ) -> Resolution:
        """A signed answer; under `name`, if they pretend to be somebody else."""
        who = name or self.name
        signature = self.key.sign(about_verdict(about, who, verdict, note, at))
        return Resolution(approver=who, verdict=verdict, note=note, at=at, signature=signature)

    def introduced_by(self, sponsor: Person | None) -> Approver:
        if sponsor is None:
            return Approver(name=self.name, public=self.public, added=NOW)
        text = about_approver(self.name, self.public, NOW, sponsor.name)
        return Approver(
            name=self.name,
            public=self.public,
            added=NOW,
            sponsor=sponsor.name,
            signature=sponsor.key.sign(text),
        )


ANA, BEN, CAT = Person.called("ana"), Person.called("ben"), Person.called("cat")
KEYS = {one.name: one.public for one in (ANA, BEN, CAT)}


def approved(about: Request, *people: Person) -> Standing:
    """What the row of an approved request holds."""
    said = tuple(person.says("approve", about) for person in people)
    return Standing(request=about, state="approved", resolutions=said)
