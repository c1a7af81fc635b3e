"""Whose a container is: the labels that we put on it, and what they say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ostiary.sandbox.containers.found import Found
from ostiary.sandbox.containers.settings import ContainerSettings

OWNER: Final = "io.ostiary.owner"
INSTANCE: Final = "io.ostiary.instance"
CREATED: Final = "io.ostiary.created"
EXPIRES: Final = "io.ostiary.expires"
PREFIX: Final = "io.ostiary."
_SHORTEST_ID: Final = 12


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """What our labels say: whose, by which process of ours, since and until when (seconds since 1970)."""

    owner: str
    instance: str
    created: int
    expires: int

    def labels(self) -> dict[str, str]:
        """The labels themselves."""
        return {
            OWNER: self.owner,
            INSTANCE: self.instance,
            CREATED: str(self.created),
            EXPIRES: str(self.expires),
        }


def tag_of(labels: Mapping[str, str] | None) -> Tag | None:
    """What the labels of a container say; None if it is not one of ours."""
    found = labels or {}
    try:
        return Tag(
            owner=found[OWNER],
            instance=found[INSTANCE],
            created=int(found[CREATED]),
            expires=int(found[EXPIRES]),
        )
    except (KeyError, ValueError):
        return None


def may_use(settings: ContainerSettings, owner: str, one: Found, tag: Tag | None) -> bool:
    """Whether `owner` may use a container whose labels say this.

    What was created for somebody is nobody else's, also under a name that is allowed to all.
    """
    if settings.unsafe_any_container:
        return True
    if tag is not None:
        return tag.owner == owner
    return any(
        allowed == one.name or (len(allowed) >= _SHORTEST_ID and one.id.startswith(allowed))
        for allowed in settings.allowed
    )


def found_of(inspected: Mapping[str, Any], *, ours: bool) -> Found:
    """What `GET /containers/{id}/json` says of a container."""
    return Found(
        id=str(inspected["Id"]),
        name=str(inspected.get("Name", "")).lstrip("/"),
        image=str(inspected["Config"].get("Image", "")),
        running=bool(inspected["State"].get("Running")),
        ours=ours,
    )
