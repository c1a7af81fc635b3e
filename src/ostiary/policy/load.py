"""From the bytes of a policy file to a document, or to everything that is wrong with it.

Pure: the file is read elsewhere. Nothing but `PolicyError` is ever raised, whatever the bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ostiary.policy.canonical import revision
from ostiary.policy.diagnostic import Diagnostic, PolicyError
from ostiary.policy.formats.detect import read_document
from ostiary.policy.formats.draft import Draft, child
from ostiary.policy.model import Document, Place, Policy
from ostiary.policy.source import MapNode, Node, SourceFault, decode


class Loaded(NamedTuple):
    """A document, or None when any diagnostic is an error, and the tree of its text if there is one."""

    document: Document | None
    diagnostics: list[Diagnostic]
    tree: Node | None


def load_text(
    text: bytes, *, file: str, unsafe_monitor: bool = False
) -> tuple[Document | None, list[Diagnostic]]:
    """The document, or None when any diagnostic is an error; diagnostics in the order of the text.

    `file` names the text in diagnostics, and its suffix tells the syntax: `.json`, `.yaml`, `.yml`;
    otherwise text that begins with `{` is JSON. `unsafe_monitor` lets `mode: monitor` load.
    """
    return load_with_tree(text, file=file, unsafe_monitor=unsafe_monitor)[:2]


def load_with_tree(text: bytes, *, file: str, unsafe_monitor: bool = False) -> Loaded:
    """The same with the tree, for what writes the text anew."""
    draft = Draft(file)
    try:
        node = tree_into(draft, text)
    except SourceFault as fault:
        draft.error(fault.code, fault.message, fault.at, fault.hint)
        return Loaded(None, draft.diagnostics, None)
    found = read_document(draft, node)
    if isinstance(node, MapNode) and not unsafe_monitor:
        _refuse_monitor(draft, node, found)
    diagnostics = sorted(draft.diagnostics, key=lambda each: (each.line, each.column, each.code))
    if draft.failed or found is None:
        return Loaded(None, diagnostics, node)
    return Loaded(_finished(draft, found), diagnostics, node)


def document(text: bytes, *, file: str, unsafe_monitor: bool = False) -> Document:
    """The document; raises `PolicyError` with every diagnostic when there is an error."""
    found, diagnostics = load_text(text, file=file, unsafe_monitor=unsafe_monitor)
    if found is None:
        raise PolicyError(diagnostics)
    return found


def is_json(text: str, file: str) -> bool:
    """Whether a text is read as JSON: by the suffix of `file`, else by how it begins."""
    lower = file.lower()
    return lower.endswith(".json") or (
        not lower.endswith((".yaml", ".yml")) and text.lstrip().startswith("{")
    )


def tree_into(draft: Draft, raw: bytes) -> Node | None:
    """The tree of `draft.file`; duplicate keys are reported. Raises `SourceFault`."""
    text = decode(raw)
    if is_json(text, draft.file):
        from ostiary.policy import json_source as reader  # noqa: PLC0415 - PyYAML is loaded only for YAML
    else:
        from ostiary.policy import yaml_source as reader  # noqa: PLC0415 - the same
    node, duplicates = reader.read(text)
    for fault in duplicates:
        draft.error(fault.code, fault.message, fault.at, fault.hint)
    return node


def _refuse_monitor(draft: Draft, node: MapNode, found: Document | None) -> None:
    """P8.1: a document alone cannot switch enforcement off."""
    at = node.get("mode")
    policies = () if found is None else _policies(found)
    if at is not None and any(policy.monitor for policy in policies):
        message = "`mode: monitor` enforces nothing and loads only with `--unsafe-monitor`"
        draft.error("monitor-refused", message, at)


def _policies(found: Document) -> tuple[Policy, ...]:
    return (*found.servers.values(), *(() if found.single is None else (found.single,)))


def _finished(draft: Draft, found: Document) -> Document:
    """With revisions and places; formats 1 and 4 are told apart by what the whole document used."""
    if found.single is not None:
        return Document(found.file, _stamped(draft, found.single, draft.places))
    by_server = _places_by_server(draft)
    servers = {
        name: _stamped(draft, policy, by_server[child("/servers", name)])
        for name, policy in found.servers.items()
    }
    return Document(found.file, None, servers)


def _places_by_server(draft: Draft) -> dict[str, dict[str, Place]]:
    found: dict[str, dict[str, Place]] = {}
    for pointer, place in draft.places.items():
        server = "/".join(pointer.split("/", 3)[:3])
        found.setdefault(server, {})[pointer] = place
    return found


def _stamped(draft: Draft, policy: Policy, places: dict[str, Place]) -> Policy:
    extended = 4 if draft.extended and policy.format == 1 else policy.format
    return replace(policy, format=extended, revision=revision(policy), places=places)
