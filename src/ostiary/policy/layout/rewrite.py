"""`ostiary policy fmt`: the same document in one style, or the reason why not."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ostiary.errors import GatewayFault
from ostiary.policy.diagnostic import PolicyError
from ostiary.policy.formats.shape import TableOf
from ostiary.policy.formats.table import INTERCEPT, SHORT, TABLES
from ostiary.policy.layout.json_text import write_json
from ostiary.policy.layout.piece import Group, Tables, build, put_in_order
from ostiary.policy.load import is_json, load_with_tree
from ostiary.policy.model import Document, Policy
from ostiary.policy.source import ListNode, MapNode, Node, Scalar

_BY_FORMAT: dict[int, Tables] = {1: TABLES, 2: INTERCEPT, 3: SHORT, 4: TABLES}


class Written(NamedTuple):
    """A document with the tree it was read from. `json`: it is written as JSON."""

    document: Document
    node: MapNode
    text: str
    json: bool


def rewritten(raw: bytes, *, file: str) -> bytes:
    """The document in the house style: equal bytes when it has it already.

    Raises:
        PolicyError: the document does not load.
        GatewayFault: what was written would not mean the same, or lose a comment; a defect.
    """
    loaded = load_written(raw, file=file)
    root = tree_of(loaded)
    if loaded.json:
        put_in_order(root)
        written = write_json(root)
    else:
        written = _in_yaml(loaded, root)
    result = written.encode()
    if result != raw:  # the same bytes say the same
        _check(loaded, result)
    return result


def load_written(raw: bytes, *, file: str) -> Written:
    """The document and its tree. `mode: monitor` is no reason to refuse: nothing is put in force.

    Raises PolicyError with every diagnostic.
    """
    loaded = load_with_tree(raw, file=file, unsafe_monitor=True)
    if loaded.document is None or not isinstance(loaded.tree, MapNode):
        raise PolicyError(loaded.diagnostics)
    text = raw.decode()
    return Written(loaded.document, loaded.tree, text, is_json(text, file))


def tree_of(loaded: Written) -> Group:
    """What is to be written, in the author's order."""
    root = build(loaded.node, TableOf("document"), _BY_FORMAT[format_of(loaded.document)], dense=loaded.json)
    if not isinstance(root, Group):
        raise GatewayFault(f"{loaded.document.file}: a policy is a mapping")
    return root


def policies_of(document: Document) -> dict[str, Policy]:
    """Every policy of a document by its server; a single one by the empty name."""
    return dict(document.servers) if document.single is None else {"": document.single}


def format_of(document: Document) -> int:
    """The number of the format (P1); documents with `servers` are format 4."""
    return 4 if document.single is None else document.single.format


def _in_yaml(loaded: Written, root: Group) -> str:
    from ostiary.policy.layout.comments import attach  # noqa: PLC0415 - PyYAML is loaded only for YAML
    from ostiary.policy.layout.yaml_text import write_yaml  # noqa: PLC0415 - the same

    header = attach(loaded.text, root)
    put_in_order(root)
    return write_yaml(root, header=header)


def _check(loaded: Written, result: bytes) -> None:
    """What is written must load, mean the same and hold the same comments."""
    file = loaded.document.file
    try:
        again = load_written(result, file=file)
    except PolicyError as fault:
        raise GatewayFault(f"{file}: the formatted text would not load: {fault.message}") from fault
    if _plain(again.node) != _plain(loaded.node):
        raise GatewayFault(f"{file}: the formatted text would say something else", hint=_REPORT)
    before = {name: policy.revision for name, policy in policies_of(loaded.document).items()}
    after = {name: policy.revision for name, policy in policies_of(again.document).items()}
    if before != after:
        raise GatewayFault(f"{file}: the formatted text would mean something else", hint=_REPORT)
    if not loaded.json and _comments(loaded.text) != _comments(again.text):
        raise GatewayFault(f"{file}: the formatted text would lose a comment", hint=_REPORT)


_REPORT = "this is a defect in ostiary; the file was left as it is"


def _plain(node: Node) -> object:
    """A tree as something to compare, without places and without the order of keys."""
    if isinstance(node, Scalar):
        return type(node.value).__name__, node.text if node.is_number else node.value
    if isinstance(node, ListNode):
        return [_plain(item) for item in node.items]
    return {entry.key: _plain(entry.value) for entry in node.entries}


def _comments(text: str) -> Counter[str]:
    from ostiary.policy.layout.comments import Scan  # noqa: PLC0415 - PyYAML is loaded only for YAML

    return Counter(comment.text for comment in Scan(text).comments())
