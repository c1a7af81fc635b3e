"""The kinds of finding. A kind never changes its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KINDS: Final[Mapping[str, str]] = {
    "hidden-instruction": "an order to whoever reads the definition, beside what the tool does",
    "secrecy-order": "an order to keep something from the user",
    "role-marker": "marks that make a text look like a message of the host, the user or the model",
    "exfiltration": "an order to hand over the conversation, secrets or files",
    "sensitive-path": "an order to read a file that holds keys, credentials or secrets",
    "context-parameter": "a parameter whose name asks for the conversation or the model's instructions",
    "leaking-link": "a link or picture with a place in its address for data of the conversation",
    "html-comment": "words that a page does not show",
    "active-url": "an address that is a program, as `javascript:`",
    "invisible-characters": "characters that are drawn as nothing, between others",
    "bidirectional-characters": "characters that turn the direction of a text around",
    "tag-characters": "a second text in Unicode's tag characters, which nobody sees",
    "variation-selectors": "bytes in variation selectors, which nobody sees",
    "terminal-escape": "control characters that steer a terminal",
    "stacked-marks": "letters under a heap of combining marks",
    "mixed-scripts": "a name with letters of another script that look like Latin ones",
    "out-of-sight": "words behind so much white space that a reader does not get there",
    "encoded-text": "sentences in base64, hexadecimal digits, percent signs or escapes",
    "malformed-name": "a name that is no name: empty, a signature, an unexpanded template, several lines",
    "imitated-name": "a name that is nearly one that many servers use",
    "cross-tool-order": "an order about a tool that the server does not have",
    "shadowed-name": "a name that another tool in sight has, too",
    "look-alike-name": "a name that is nearly that of another tool in sight",
    "foreign-tool-named": "the name of another server's tool in a text",
    "enum-value-name": "a tool without a definition, named as a value that another tool takes",
    "unread": "more than is read of a definition; what is in the rest is not known",
}
"""What each kind says, in the order of the reference page."""

ACROSS: Final = frozenset(
    {"cross-tool-order", "shadowed-name", "look-alike-name", "foreign-tool-named", "enum-value-name"}
)
"""Kinds for which the other tools in sight matter; all others come from the definition alone."""
