"""One mapping of the document, read through its key table."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ostiary.policy.formats.draft import Draft, near
from ostiary.policy.formats.shape import (
    MAX_TEXT,
    Choice,
    Key,
    Shape,
    Table,
    Version,
    accepts,
    expected,
    kind,
    list_shape,
)
from ostiary.policy.source import Entry, ListNode, Located, MapNode, Node, Scalar, Spot, shown


class Fields:
    """The keys of `node` that are known and have the right kind of value; the rest is reported.

    Asking for a key that is absent or was refused gives None or an empty tuple; once anything was
    refused the document does not load, so what is built from the rest is never used. `written`
    are the keys that stand in the text, refused ones included; `hints` are for unknown keys.
    """

    def __init__(
        self, draft: Draft, node: MapNode, table: Table, hints: Mapping[str, str] | None = None
    ) -> None:
        self._draft = draft
        self._node = node
        self._hints = hints or {}
        self._found: dict[str, Entry] = {}
        for entry in node.entries:
            self._admit(entry, table)
        self.written = frozenset(entry.key for entry in node.entries)
        for name, key in table.items():
            if key.required and name not in self.written:
                draft.error("missing-key", f"the key `{name}` is missing: {key.about}", node)

    def _admit(self, entry: Entry, table: Table) -> None:
        key = table.get(entry.key)
        if self._draft.full:
            return
        if key is None:
            known = [name for name, each in table.items() if not each.later]
            hint = self._hints.get(entry.key) or near(entry.key, known)
            self._draft.error("unknown-key", f"unknown key {shown(entry.key)}", entry, hint)
        elif key.later:
            self._draft.error("needs-later-version", f"`{entry.key}` needs a later version of ostiary", entry)
        elif self._fits(entry, key):
            self._draft.extended |= key.extension
            self._found[entry.key] = entry

    def _fits(self, entry: Entry, key: Key) -> bool:
        value = entry.value
        if not accepts(key.shape, value):
            wanted = expected(key.shape)
            self._draft.error("wrong-type", f"`{entry.key}` takes {wanted}, found {kind(value)}", value)
            return False
        if isinstance(value, ListNode):
            return self._fits_list(entry.key, value, key.shape)
        return not isinstance(value, Scalar) or self._fits_scalar(entry.key, value, key.shape)

    def _fits_scalar(self, name: str, node: Scalar, shape: Shape) -> bool:
        if isinstance(shape, Version) and node.text != "1":
            self._draft.error(
                "unknown-version", f"unknown version {shown(node.text)}", node, "the only one is `1`"
            )
            return False
        if isinstance(shape, Choice) and node.value not in shape.options:
            self._refuse_choice(name, node, shape)
            return False
        if (
            isinstance(node.value, str)
            and name not in {"value", "version"}
            and not 1 <= len(node.value) <= MAX_TEXT
        ):
            self._draft.error("out-of-range", f"`{name}` takes 1 to {MAX_TEXT:,} characters", node)
            return False
        return True

    def _refuse_choice(self, name: str, node: Scalar, shape: Choice) -> None:
        hint = near(node.text, shape.options) or f"expected {expected(shape)}"
        if name == "op":
            self._draft.error("unknown-operator", f"unknown operator {shown(node.text)}", node, hint)
        else:
            self._draft.error("bad-choice", f"`{name}` cannot be {shown(node.text)}", node, hint)

    def _fits_list(self, name: str, node: ListNode, shape: Shape) -> bool:
        wanted = list_shape(shape)
        if wanted is None:
            return True
        if len(node.items) < wanted.least:
            self._draft.error("out-of-range", f"`{name}` takes a list that is not empty", node)
            return False
        for item in node.items:
            if not accepts(wanted.item, item):
                message = f"`{name}` holds {expected(wanted.item)} in each place, found {kind(item)}"
                self._draft.error("wrong-type", message, item)
        return True

    def __contains__(self, name: str) -> bool:
        return name in self._found

    @property
    def sound(self) -> bool:
        """Whether no key was refused."""
        return len(self._found) == len(self.written)

    @property
    def at(self) -> Located:
        """Where the mapping itself stands."""
        return self._node

    def spot(self, name: str) -> Located:
        """Where the key stands, or the mapping when the key is absent."""
        entry = self._found.get(name)
        return self._node if entry is None else Spot(entry.line, entry.column)

    def node(self, name: str) -> Node | None:
        """The value as it stands in the text."""
        entry = self._found.get(name)
        return None if entry is None else entry.value

    def text(self, name: str) -> str | None:
        """The value when it is text."""
        node = self.node(name)
        return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else None

    def flag(self, name: str) -> bool | None:
        """The value when it is true or false."""
        node = self.node(name)
        return node.value if isinstance(node, Scalar) and isinstance(node.value, bool) else None

    def number(self, name: str) -> Decimal | None:
        """The value when it is a number."""
        node = self.node(name)
        return node.value if isinstance(node, Scalar) and isinstance(node.value, Decimal) else None

    def whole(self, name: str, least: int, most: int = 2**53 - 1) -> int | None:
        """The value as an integer within bounds; anything else is reported."""
        value = self.number(name)
        if value is None:
            return None
        if not least <= value <= most or value != value.to_integral_value():
            message = f"`{name}` takes a whole number from {least} to {most}"
            self._draft.error("out-of-range", message, self.node(name) or self._node)
            return None
        return int(value)

    def items(self, name: str) -> tuple[Node, ...]:
        """The elements of the value when it is a list."""
        node = self.node(name)
        return node.items if isinstance(node, ListNode) else ()

    def tables(self, name: str) -> tuple[tuple[int, MapNode], ...]:
        """The mappings in the list at `name`, each with its index."""
        return tuple(
            (index, each) for index, each in enumerate(self.items(name)) if isinstance(each, MapNode)
        )

    def table(self, name: str) -> MapNode | None:
        """The value when it is a mapping."""
        node = self.node(name)
        return node if isinstance(node, MapNode) else None

    def message(self) -> str | None:
        """`on_deny` or its synonym `reason`; both together are an error (P1.4)."""
        if "on_deny" in self and "reason" in self:
            message = "`reason` and `on_deny` mean the same, and both stand here"
            self._draft.error("exclusive-keys", message, self.spot("reason"))
        return self.text("on_deny") or self.text("reason")
