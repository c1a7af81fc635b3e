"""What a server lists beside its tools: resources, templates of resources, and prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from ostiary.registry.fingerprint import canonical, digest_of


class Listed(msgspec.Struct, frozen=True):
    """One entry of such a list, as the server wrote it: hostile text, bounded only by its message.

    `uri` is that of a resource or its template, empty for a prompt; `mime` is empty where none is said.
    `digest` is `sha256:<hex>` of the canonical JSON of `raw`.
    """

    name: str
    title: str = ""
    description: str = ""
    uri: str = ""
    mime: str = ""
    digest: str = ""
    raw: bytes = b""


class List(msgspec.Struct, frozen=True):
    """How one of them is asked for, and where its entries are. `by` is what tells entries apart."""

    field: Literal["resources", "templates", "prompts"]
    capability: str
    method: str
    key: str
    by: str


LISTS: Final = (
    List("resources", "resources", "resources/list", "resources", "uri"),
    List("templates", "resources", "resources/templates/list", "resourceTemplates", "uriTemplate"),
    List("prompts", "prompts", "prompts/list", "prompts", "name"),
)


def listed(of: List, raw: bytes, value: Mapping[str, object]) -> Listed:
    """An entry of the list `of`."""
    return Listed(
        name=_text(value.get("name")),
        title=_text(value.get("title")),
        description=_text(value.get("description")),
        uri=_text(value.get(of.by)) if of.by != "name" else "",
        mime=_text(value.get("mimeType")),
        digest=digest_of(canonical(value)),
        raw=raw,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
