"""Tool definitions as the upstream advertises them: hostile input (P3.8, P7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """One entry of `tools/list`.

    `digest` is `sha256:<hex>` of the definition's canonical JSON. `input_schema` is the parsed
    `inputSchema` (any JSON value; None when missing). `annotations` are untrusted hints.
    """

    name: str
    digest: str
    input_schema: object | None = None
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The latest complete tool list of one upstream, with what pins say about it.

    `drifted` holds names whose definition differs from the pinned one (P7, `--pins locked`), and
    those that are `ambiguous`: they stand in the list in two versions.
    """

    definitions: Mapping[str, ToolDefinition] = field(default_factory=dict[str, ToolDefinition])
    drifted: frozenset[str] = frozenset()
    ambiguous: frozenset[str] = frozenset()
