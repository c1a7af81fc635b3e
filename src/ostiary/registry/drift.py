"""What became of a tool since it was pinned, each change with how much it matters (P7).

The classes. High: it may do what it could not, or cannot be compared. Medium: another text for the
model, another argument, another promise; a person should read it. Low: less than before, or only
another way to say it. Two definitions with different digests never compare as equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, cast

from ostiary.registry.change import Change, Risk, excerpt, hides, named, valued
from ostiary.registry.fingerprint import canonical
from ostiary.registry.schema_drift import ABSENT, compare_schemas, same

MAX_BYTES: Final = 256 * 1024
"""The largest definition that is compared, in canonical text; as large as a schema that is checked (P3.8)."""

Members = Mapping[str, object]


class Version(NamedTuple):
    """One tool as it was or is: its digest, and its definition where that is known."""

    digest: str
    definition: Members | None


_HINTS: Final[Mapping[str, tuple[bool, bool]]] = {
    "readOnlyHint": (False, True),
    "destructiveHint": (True, False),
    "idempotentHint": (False, True),
    "openWorldHint": (True, False),
}
"""Each hint's value where it is missing, and the harmless one (MCP, `ToolAnnotations`)."""

_GRAVE: Final = frozenset({"readOnlyHint", "destructiveHint", "openWorldHint"})


def compare_lists(pinned: Mapping[str, Version], present: Mapping[str, Version]) -> list[Change]:
    """Every change between two lists of tools, by name; unsorted."""
    changes: list[Change] = []
    for name in dict.fromkeys([*pinned, *present]):
        changes += compare(name, pinned.get(name), present.get(name))
    return changes


def compare(name: str, pinned: Version | None, present: Version | None) -> list[Change]:
    """The changes of one tool; empty exactly when both have one digest, or neither is there."""
    if pinned is None and present is None:
        return []
    if pinned is None:
        return [Change(name, "medium", "tool-added", "new tool")]
    if present is None:
        return [Change(name, "low", "tool-removed", "the tool was removed")]
    if pinned.digest == present.digest:
        return []
    if pinned.definition is None or present.definition is None:
        words = "the definition changed; its former text was not kept, so what changed cannot be said"
        return [Change(name, "high", "incomparable", words)]
    if max(len(canonical(each.definition)) for each in (pinned, present)) > MAX_BYTES:
        words = f"the definition changed, and is over the {MAX_BYTES} bytes that are compared"
        return [Change(name, "high", "incomparable", words)]
    return compare_definitions(name, pinned.definition, present.definition)


def compare_definitions(name: str, old: Members, new: Members) -> list[Change]:
    """The changes between two definitions of one tool; never empty when they differ."""
    changes: list[Change] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key, ABSENT), new.get(key, ABSENT)
        if not same(before, after):
            changes += _member(name, key, before, after)
    return changes


def _member(tool: str, key: str, old: object, new: object) -> Iterable[Change]:
    if key == "inputSchema":
        return compare_schemas(tool, {} if old is ABSENT else old, {} if new is ABSENT else new) or [
            Change(tool, "low", "spelling", "the input schema is empty, as it was", "/inputSchema")
        ]
    if key in ("description", "title"):
        return [_text(tool, key, old, new)]
    if key == "annotations":
        return _annotations(tool, old, new)
    if key == "outputSchema":
        word = "added" if old is ABSENT else "removed" if new is ABSENT else "changed"
        return [Change(tool, "medium", "output-schema", f"the output schema was {word}", "/outputSchema")]
    if key == "icons":
        return [Change(tool, "low", "icons", "the icons changed", "/icons")]
    words = f"{named(key)} {_verb(old, new)}, which has no meaning that is known here"
    return [Change(tool, "medium", "other", words, f"/{_token(key)}")]


def _token(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _verb(old: object, new: object) -> str:
    return "was added" if old is ABSENT else "was removed" if new is ABSENT else "changed"


def _text(tool: str, key: str, old: object, new: object) -> Change:
    from_, to = ("" if each is ABSENT else each for each in (old, new))
    risk: Risk = "medium" if key == "description" else "low"
    words = f"the {key} {_verb(old, new)}"
    if hides(to) > hides(from_):
        risk, words = "high", f"the {key} now has characters that nobody sees"
    return Change(tool, risk, key, words, f"/{key}", excerpt(from_), excerpt(to))


def _annotations(tool: str, old: object, new: object) -> Iterable[Change]:
    before = _object(old)
    after = _object(new)
    if before is None or after is None:
        yield Change(
            tool, "high", "annotations", "the annotations are no object, or were none", "/annotations"
        )
        return
    if same(before, after):
        yield Change(tool, "low", "annotations", "the annotations are empty, as they were", "/annotations")
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key, ABSENT), after.get(key, ABSENT)
        if not same(was, now):
            yield _annotation(tool, key, was, now)


def _annotation(tool: str, key: str, old: object, new: object) -> Change:
    """A hint that says less harm than before is medium: clients ask less where they believe it."""
    pointer = f"/annotations/{_token(key)}"
    if key not in _HINTS:
        risk: Risk = "low" if key == "title" and hides(new) <= hides(old) else "medium"
        return Change(tool, risk, "annotations", f"the annotation {named(key)} {_verb(old, new)}", pointer)
    missing, harmless = _HINTS[key]
    was, now = (missing if each is ABSENT else each for each in (old, new))
    shown = [
        f"missing (which means {valued(missing)})" if each is ABSENT else valued(each) for each in (old, new)
    ]
    words = f"`{key}` was {shown[0]} and is {shown[1]}"
    if not isinstance(was, bool) or not isinstance(now, bool):
        return Change(tool, "high", "annotations", words, pointer)
    if was == now:
        return Change(tool, "low", "annotations", words, pointer)
    if now == harmless:
        return Change(tool, "medium", "annotations", words, pointer)
    return Change(tool, "high" if key in _GRAVE else "medium", "annotations", words, pointer)


def _object(value: object) -> Members | None:
    if value is ABSENT:
        return {}
    return cast("Members", value) if isinstance(value, Mapping) else None
