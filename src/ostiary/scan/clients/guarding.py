"""Puts gates before the servers of a configuration, and takes them away again. Pure: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.scan.clients.config import Document, placed
from ostiary.scan.clients.edit import Changes, Edit, applied, check, current, edit
from ostiary.scan.clients.entry import Entry, entry
from ostiary.scan.clients.gated import Gate, changes_of, is_gated
from ostiary.scan.clients.spans import ConfigFault, Lines, Slot
from ostiary.scan.scanned import Target

Outcome = Literal["protected", "already", "restored", "equal", "differs", "left"]
"""`restored` is byte for byte; `equal` in its values, where the client has written the file anew."""


class Undo(msgspec.Struct, frozen=True):
    """What one entry was. It may hold secrets, so it is kept where only the owner reads it.

    `old` became `new` in the text; `before` are the values of the keys that were changed, None for
    those that were not there, and `after` what they became.
    """

    route: tuple[str, ...]
    old: str
    new: str
    before: dict[str, object]
    after: dict[str, object]

    def __repr__(self) -> str:
        """Without what may be secret."""
        return f"Undo(route={self.route!r})"


class Step(msgspec.Struct, frozen=True):
    """What is done with one server, or why it is left. `line` is where it stands before."""

    name: str
    line: int
    outcome: Outcome
    reason: str = ""


class Plan(msgspec.Struct, frozen=True):
    """The bytes that a file is to have, what is done in it, and what undoes it."""

    raw: bytes
    steps: tuple[Step, ...]
    undo: tuple[Undo, ...] = ()

    def __repr__(self) -> str:
        """Without the bytes, which may hold secrets."""
        return f"Plan(steps={self.steps!r})"


def protect(
    document: Document,
    gate: Callable[[Entry], Gate],
    only: Collection[str] = (),
    ours: Callable[[Target], bool] = lambda _: True,
) -> Plan:
    """Let every server of a document, or those named in `only`, go through its gate.

    `ours` says of a gate that is there already whether the person has put it there.

    Raises GatewayFault where the text cannot be changed so that all else stays what it is.
    """
    edits: list[Edit] = []
    steps: list[Step] = []
    undo: list[Undo] = []
    changed: dict[tuple[str, ...], Changes] = {}
    lines = Lines.of(document.text)
    for slot in document.slots:
        if only and slot.name not in only:
            continue
        line = lines.spot(slot.start)[0]
        try:
            one = entry(slot, source=str(document.path), client=document.client, spot=(line, 1))
            if is_gated(one.target.command):
                steps.append(_already(one, line, ours=ours(one.target)))
                continue
            changes = changes_of(one, slot, gate(one))
            piece = edit(document, slot, changes)
        except ConfigFault as fault:
            steps.append(Step(slot.name, line, "left", placed(document.path, document.text, fault)))
            continue
        except CallerFault as fault:
            steps.append(Step(slot.name, line, "left", f"{fault.message}{_hint(fault)}"))
            continue
        if piece is not None:
            edits.append(piece)
            changed[slot.route] = changes
            undo.append(_undo(slot, piece, changes))
            steps.append(Step(slot.name, line, "protected"))
    raw = applied(document, edits)
    check(document, raw, changed)
    return Plan(raw, tuple(steps), tuple(undo))


def _already(one: Entry, line: int, *, ours: bool) -> Step:
    if ours:
        return Step(one.target.name, line, "already")
    reason = "the file names a gate that was not put there from here; its policy may allow anything"
    return Step(one.target.name, line, "left", reason)


def _hint(fault: CallerFault) -> str:
    return f"; {fault.hint}" if fault.hint else ""


def _undo(slot: Slot, piece: Edit, changes: Changes) -> Undo:
    before = {key: current(slot, key) for key in changes}
    return Undo(slot.route, piece.old, piece.new, before, dict(changes))


def unprotect(document: Document, kept: Collection[Undo], only: Collection[str] = ()) -> Plan:
    """Give the servers of a document back what they were, byte for byte where nobody has edited them.

    In the plan, `undo` is what is still to be kept: of entries that were left. Raises GatewayFault.
    """
    try:
        return _unprotect(document, kept, only, exact=True)
    except GatewayFault:  # what looked like the stretch that was written was another
        return _unprotect(document, kept, only, exact=False)


def _unprotect(document: Document, kept: Collection[Undo], only: Collection[str], *, exact: bool) -> Plan:
    edits: list[Edit] = []
    steps: list[Step] = []
    still: list[Undo] = []
    changed: dict[tuple[str, ...], Changes] = {}
    slots = {slot.route: slot for slot in document.slots}
    lines = Lines.of(document.text)
    for one in kept:
        name, slot = one.route[-1], slots.get(one.route)
        if only and name not in only:
            still.append(one)
            continue
        if slot is None:
            steps.append(Step(name, 0, "differs", "it is no longer in the file"))
            continue
        line = lines.spot(slot.start)[0]
        program = current(slot, "command")
        if program != one.after["command"]:
            steps.append(Step(name, line, "left", "it no longer starts a gate, so it was not touched"))
            continue
        try:
            whole = _exact(document, slot, one) if exact else None
            piece = whole or edit(document, slot, one.before)
        except ConfigFault as fault:
            steps.append(Step(name, line, "left", placed(document.path, document.text, fault)))
            still.append(one)
            continue
        differs = sorted(key for key, value in one.after.items() if current(slot, key) != value)
        if piece is not None:
            edits.append(piece)
        changed[slot.route] = one.before
        steps.append(_restored(name, line, differs, exact=whole is not None))
    raw = applied(document, edits)
    check(document, raw, changed)
    return Plan(raw, tuple(steps), tuple(still))


def _restored(name: str, line: int, differs: list[str], *, exact: bool) -> Step:
    if not differs:
        return Step(name, line, "restored" if exact else "equal")
    keys = ", ".join(f"`{key}`" for key in differs)
    return Step(name, line, "differs", f"{keys} had been edited since, and is again what it was before")


def _exact(document: Document, slot: Slot, one: Undo) -> Edit | None:
    """The stretch that was written, where it still stands in the entry as it was written."""
    end = max((member.end for member in slot.members), default=slot.start)
    at = document.text.find(one.new, slot.start)
    return Edit(at, one.new, one.old) if slot.start <= at < end else None


def merged(kept: Mapping[tuple[str, ...], Undo], added: Collection[Undo]) -> tuple[Undo, ...]:
    """What is kept of a file: one undo for each entry, the newest."""
    return tuple({**kept, **{one.route: one for one in added}}.values())
