"""What tools answered that is no text: images, sound, files. Kept for whoever asked, and read as resources.

All of it is in memory and bounded: what is oldest makes room, first of the owner's own.
"""

from __future__ import annotations

import binascii
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ostiary.servers.core.content import data
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.resource import ResourceTemplate
from ostiary.servers.runs import artifact_uri

MAX_EACH: Final = 8 << 20
"""Bytes of one; of a larger one code has what the tool answered, and no artifact."""
MAX_NUMBER: Final = 64
"""How many each owner has."""
MAX_BYTES: Final = 64 << 20
"""Bytes of all owners together."""
_USUAL: Final = "application/octet-stream"
_MAX_MIME: Final = 128


class _Kept(msgspec.Struct, frozen=True):
    owner: str
    name: str
    mime: str
    content: bytes


class Artifacts:
    """Each has an id that nobody can guess, and exists for its owner only."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}  # the oldest first
        self._size = 0

    def keep(self, owner: str, kind: str, mime: object, encoded: object) -> str | None:
        """Keep what is `encoded` as base64; its URI, or None for what is none or too large."""
        if not isinstance(encoded, str) or len(encoded) > MAX_EACH // 3 * 4 + 4:
            return None
        try:
            content = binascii.a2b_base64(encoded)
        except (ValueError, UnicodeEncodeError):
            return None
        if not content:
            return None
        self._make_room(owner, len(content))
        known = mime if isinstance(mime, str) and 0 < len(mime) <= _MAX_MIME else _USUAL
        of = f"tool_{secrets.token_hex(12)}"
        self._kept[of] = _Kept(owner, kind, known, content)
        self._size += len(content)
        return artifact_uri(of, kind)

    def uris(self, owner: str) -> list[str]:
        """Where those of `owner` are, the oldest first."""
        return [artifact_uri(of, one.name) for of, one in self._kept.items() if one.owner == owner]

    def template(self) -> ResourceTemplate:
        """How they are read."""
        return ResourceTemplate(
            uri_template="artifact://{of}/{name}",
            name="artifact",
            description="an image, sound or file that a tool answered to code",
            read=self._read,
        )

    async def _read(
        self, uri: str, found: Mapping[str, str], context: CallContext
    ) -> Sequence[Mapping[str, object]] | None:
        one = self._kept.get(found["of"])
        if one is None or (one.owner, one.name) != (context.owner, found["name"]):
            return None
        return [data(uri, one.content, one.mime)]

    def _make_room(self, owner: str, size: int) -> None:
        own = [of for of, one in self._kept.items() if one.owner == owner]
        if len(own) >= MAX_NUMBER:
            self._drop(own.pop(0))
        for of in [*own, *(of for of, one in self._kept.items() if one.owner != owner)]:
            if self._size + size <= MAX_BYTES:
                return
            self._drop(of)

    def _drop(self, of: str) -> None:
        self._size -= len(self._kept.pop(of).content)
