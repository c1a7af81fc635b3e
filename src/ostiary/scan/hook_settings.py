"""The hook in a `settings.json` of Claude Code: put in and taken out without touching the rest. Pure.

Only the bytes of the hook itself, and of the keys that had to be made for it, come and go. What was
made is kept as a `Receipt`, so that taking the hook out gives back the text that was there.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from ostiary.scan.clients import jsonc
from ostiary.scan.clients.spans import ConfigFault

MATCHER: Final = "mcp__.*"
"""A regular expression, because of its last two characters; `mcp__` alone would match no tool."""

EVENT: Final = "PreToolUse"
SECONDS: Final = 30
"""After which the client gives up. The hook itself answers far earlier."""

BLOCK: Final = " || exit 2"
"""Any other end than 0, also of a program that is gone, blocks the call: Claude Code goes on otherwise."""

Made = Literal["file", "hooks", "event", "group", ""]


class Receipt(msgspec.Struct, frozen=True):
    """What was made for the hook: the whole file, the key `hooks`, the key of the event, or the group.

    `gap` is what stood between the brackets that were empty before.
    """

    made: Made
    gap: str = ""


class Edited(msgspec.Struct, frozen=True):
    """A text with the change made, and what was made for it. `text` is None where no file is left."""

    text: str | None
    receipt: Receipt
    changed: bool


class _Found(msgspec.Struct, frozen=True):
    """One hook of ours: its group, its place in it, and its command."""

    groups: jsonc.Node
    group: int
    handler: int
    command: jsonc.Node
    said: str


def command_line(program: Sequence[str], folder: str) -> str:
    """What the client gives to a shell: this program, with the state directory at `folder`."""
    return shlex.join([*program, "hook", "run", "--state-dir", folder]) + BLOCK


def ours(command: str) -> bool:
    """Whether a hook's command is one that `ostiary hook install` wrote, from wherever it was installed."""
    if not command.endswith(BLOCK):
        return False
    try:
        words = shlex.split(command.removesuffix(BLOCK))
    except ValueError:
        return False
    program = words[:-4]
    named = bool(program) and re.split(r"[/\\]", program[-1])[-1].partition(".")[0] == "ostiary"
    return words[-4:-1] == ["hook", "run", "--state-dir"] and named


def installed(text: str | None) -> tuple[str, ...]:
    """The commands of ours that are in the text. Raises ConfigFault."""
    if text is None or not text.strip():
        return ()
    return tuple(found.said for found in _hooks(jsonc.read(text), text))


def install(text: str | None, command: str) -> Edited:
    """Put the hook in, or bring the one that is there up to date; None is no file. Raises ConfigFault."""
    group = {"matcher": MATCHER, "hooks": [{"type": "command", "command": command, "timeout": SECONDS}]}
    if text is None or not text.strip():
        whole = json.dumps({"hooks": {EVENT: [group]}}, indent=2, ensure_ascii=False)
        return Edited(whole + "\n", Receipt("file", text or ""), changed=True)
    root = jsonc.read(text)
    present = list(_hooks(root, text))
    if present:
        fresh = text
        for found in reversed(present):
            quoted = json.dumps(command, ensure_ascii=False)
            fresh = fresh[: found.command.start] + quoted + fresh[found.command.end :]
        fresh = text if all(found.said == command for found in present) else fresh
        return Edited(fresh, Receipt(""), changed=fresh != text)
    return _inserted(root, text, group)


def _inserted(root: jsonc.Node, text: str, group: object) -> Edited:
    unit = _indent(root, text)
    hooks = root.at("hooks")
    if hooks is None:
        return _added(root, text, f'"hooks": {_dumped({EVENT: [group]}, unit, 1)}', unit, 1, "hooks")
    groups = hooks.at(EVENT)
    if groups is None:
        return _added(hooks, text, f'"{EVENT}": {_dumped([group], unit, 2)}', unit, 2, "event")
    return _added(groups, text, _dumped(group, unit, 3), unit, 3, "group")


def _dumped(value: object, unit: str, depth: int) -> str:
    """The value as it looks that deep in the text."""
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", "\n" + unit * depth)


def _added(parent: jsonc.Node, text: str, piece: str, unit: str, depth: int, made: Made) -> Edited:
    """`piece` behind what is there already, on a line of its own."""
    end = _ends(parent)
    if end:
        at = end[-1]
        return Edited(f"{text[:at]},\n{unit * depth}{piece}{text[at:]}", Receipt(made), changed=True)
    gap = text[parent.start + 1 : parent.end - 1]
    inner = gap.rstrip() if gap.strip() else ""  # a comment stays where it is
    inside = f"{inner}\n{unit * depth}{piece}\n{unit * (depth - 1)}"
    fresh = text[: parent.start + 1] + inside + text[parent.end - 1 :]
    return Edited(fresh, Receipt(made, gap), changed=True)


def _ends(parent: jsonc.Node) -> list[int]:
    return (
        [member.end for member in parent.keys]
        if parent.kind == "object"
        else [one.end for one in parent.items]
    )


def _starts(parent: jsonc.Node) -> list[int]:
    if parent.kind == "object":
        return [member.start for member in parent.keys]
    return [one.start for one in parent.items]


def _indent(root: jsonc.Node, text: str) -> str:
    """How deep the first key stands; two spaces where that does not say."""
    starts = _starts(root)
    found = re.search(r"\n([ \t]+)\Z", text[: starts[0]]) if starts else None
    return found[1] if found else "  "


def remove(text: str | None, receipt: Receipt) -> Edited:
    """Take every hook of ours out, and what was made for it where nothing else is in it.

    Raises ConfigFault.
    """
    if text is None or not text.strip():
        return Edited(text, receipt, changed=False)
    fresh = text
    while True:
        root = jsonc.read(fresh)
        found = next(_hooks(root, fresh), None)
        if found is None:
            break
        fresh = _without(root, fresh, found, receipt)
    if receipt.made == "file" and _is_empty(jsonc.read(fresh), fresh):
        return Edited(receipt.gap or None, receipt, changed=True)
    return Edited(fresh, receipt, changed=fresh != text)


def _is_empty(root: jsonc.Node, text: str) -> bool:
    return not _ends(root) and not text.replace("{", "", 1).replace("}", "", 1).strip()


def _without(root: jsonc.Node, text: str, found: _Found, receipt: Receipt) -> str:
    """The text without this hook. The outermost thing that was made for it and holds nothing else goes."""
    group = found.groups.items[found.group]
    handlers = group.at("hooks")
    if handlers is not None and len(handlers.items) > 1:
        return _cut(handlers, found.handler, text, "")
    made = receipt.made
    hooks = root.at("hooks")
    if made in ("file", "hooks", "event") and len(found.groups.items) == 1 and hooks is not None:
        names = [member.key for member in hooks.keys]
        if made in ("file", "hooks") and names == [EVENT]:
            at = [member.key for member in root.keys].index("hooks")
            return _cut(root, at, text, receipt.gap if made == "hooks" else "")
        return _cut(hooks, names.index(EVENT), text, receipt.gap if made == "event" else "")
    return _cut(found.groups, found.group, text, receipt.gap if made == "group" else "")


def _cut(parent: jsonc.Node, at: int, text: str, gap: str) -> str:
    """The text without one part of an object or a list, and without the comma that went with it."""
    starts, ends = _starts(parent), _ends(parent)
    if len(ends) == 1:
        before, after = text[parent.start + 1 : starts[0]], text[ends[0] : parent.end - 1]
        kept = gap or (before + after if before.strip() or after.strip(" \t\r\n,") else "")
        return text[: parent.start + 1] + kept + text[parent.end - 1 :]
    if at:
        return text[: ends[at - 1]] + text[ends[at] :]
    return text[: starts[0]] + text[starts[1] :]


def _hooks(root: jsonc.Node, text: str) -> Iterator[_Found]:
    """The hooks of ours, in order. Raises ConfigFault for settings that are not laid out as settings are."""
    if root.kind != "object":
        raise ConfigFault("expected an object with settings", root.start)
    hooks = root.at("hooks")
    if hooks is None:
        return
    if hooks.kind != "object":
        raise ConfigFault("expected an object at `hooks`", hooks.start)
    groups = hooks.at(EVENT)
    if groups is None:
        return
    if groups.kind != "array":
        raise ConfigFault(f"expected a list at `{EVENT}`", groups.start)
    for number, group in enumerate(groups.items):
        handlers = group.at("hooks")
        for place, handler in enumerate(handlers.items if handlers is not None else ()):
            command = handler.at("command")
            said = jsonc.plain(command, text) if command is not None else None
            if command is not None and isinstance(said, str) and ours(said):
                yield _Found(groups, number, place, command, said)
