"""The naive evaluator's readers of paths, hosts, versions and patterns; see `naive`."""

from __future__ import annotations

import ipaddress
import posixpath
import re
import socket
import unicodedata
from typing import Any


class Wrong(Exception):
    """A text that cannot be read."""


def plain(text: str) -> None:
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise Wrong
    for mark in "/\\.%:@?#":
        if unicodedata.normalize("NFKC", text).count(mark) != text.count(mark):
            raise Wrong


def within(value: Any, text: str) -> bool:
    plain(text)
    if not text.startswith("/") or "\\" in text or re.search("%[0-9a-fA-F]{2}", text) or len(text) > 4096:
        raise Wrong
    if any(part.strip(". ") == "" and part not in ("", ".", "..") for part in text.split("/")):
        raise Wrong
    place = posixpath.normpath("/" + text.lstrip("/"))
    for folder in value if isinstance(value, list) else [value]:
        base = posixpath.normpath("/" + folder.lstrip("/"))
        if posixpath.commonpath([place, base]) == base:
            return True
    return False


def glob(pattern: str, text: str) -> bool:
    plain(text)
    if "\\" in text or re.search("%[0-9a-fA-F]{2}", text):
        raise Wrong
    if any(part and part.strip(". ") == "" for part in text.split("/")) and (
        "/" in text or text in (".", "..")
    ):
        raise Wrong
    address = re.match("[A-Za-z][A-Za-z0-9+.-]*://", text)
    path = re.split("[?#]", text[address.end() :])[0] if address else text
    if "//" in path:
        raise Wrong
    return matches(pattern, text)


def matches(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern.startswith("**"):
        return any(matches(pattern[2:], text[at:]) for at in range(len(text) + 1))
    if pattern[0] == "*":
        run = len(text.split("/", 1)[0])
        return any(matches(pattern[1:], text[at:]) for at in range(run + 1))
    if not text:
        return False
    if pattern[0] == "?":
        return text[0] != "/" and matches(pattern[1:], text[1:])
    if pattern[0] == "[":
        body, rest = pattern[1:].split("]", 1)
        outside = body[0] in "!^"
        inside = any(
            low <= text[0] <= (high or low) for low, high in re.findall(r"(.)(?:-(.))?", body[outside:])
        )
        return text[0] != "/" and inside != outside and matches(rest, text[1:])
    return text[0] == pattern[0] and matches(pattern[1:], text[1:])


def host(text: str) -> str:
    """The host of a URL or of `host[:port]`."""
    if not text or any(char.isspace() for char in text) or "\\" in text or len(text) > 8192:
        raise Wrong
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise Wrong
    if "://" in text:
        scheme, text = text.split("://", 1)
        if not re.fullmatch("[A-Za-z][A-Za-z0-9+.-]{0,31}", scheme):
            raise Wrong
        if "@" in text.split("/")[0]:
            raise Wrong
        text = re.split("[/?#]", text)[0]
    elif text.count(":") > 1 and text[0] != "[":
        text = f"[{text}]"
    match = re.fullmatch(r"(\[[^\]]*\]|[^:/?#@\[\]]*)(?::([0-9]{1,5}))?", text)
    if not match or (match[2] and int(match[2]) > 65535):
        raise Wrong
    return name(match[1])


def name(text: str) -> str:
    if text.startswith("["):
        try:
            address = ipaddress.IPv6Address(text[1:-1])
        except ValueError:
            raise Wrong from None
        if "%" in text:
            raise Wrong
        return str(address.ipv4_mapped or address)
    if not text.isascii():
        if set(text) & set("ßςẞ"):
            raise Wrong
        plain(text)
        try:
            text = text.encode("idna").decode()
        except UnicodeError:
            raise Wrong from None
    text = text.lower().removesuffix(".")
    labels = text.split(".")
    if re.fullmatch("[0-9]+|0x[0-9a-f]*", labels[-1]):
        if not all(re.fullmatch("[0-9]+|0x[0-9a-f]+", part) and len(part) <= 16 for part in labels):
            raise Wrong
        try:
            return socket.inet_ntoa(socket.inet_aton(".".join(labels)))
        except OSError:
            raise Wrong from None
    if (
        not all(re.fullmatch("[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in labels)
        or len(text) > 253
    ):
        raise Wrong
    return text


def host_in(value: Any, text: str) -> bool:
    found = host(text)
    for wanted in value if isinstance(value, list) else [value]:
        if wanted.startswith("*."):
            if found.endswith("." + name(wanted[2:])):
                return True
        elif found == host(wanted):
            return True
    return False


def scheme_in(value: Any, text: str) -> bool:
    if not text or any(char.isspace() for char in text) or "\\" in text or len(text) > 8192:
        raise Wrong
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise Wrong
    match = re.match("([A-Za-z][A-Za-z0-9+.-]{0,31}):", text)
    if not match:
        raise Wrong
    return match[1].lower() in [item.lower() for item in (value if isinstance(value, list) else [value])]


def cidr_in(value: Any, text: str) -> bool:
    try:
        address = ipaddress.ip_address(host(text))
    except ValueError:
        raise Wrong from None
    return any(
        address in ipaddress.ip_network(item) for item in (value if isinstance(value, list) else [value])
    )


VERSION = re.compile(
    r"(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)


def precedence(left: str, right: str) -> int:
    """Section 11 of SemVer 2.0.0, step by step."""
    one, two = VERSION.fullmatch(left), VERSION.fullmatch(right)
    if not one or not two or max(len(left), len(right)) > 256:
        raise Wrong
    for at in (1, 2, 3):
        if int(one[at]) != int(two[at]):
            return -1 if int(one[at]) < int(two[at]) else 1
    if one[4] == two[4]:
        return 0
    if one[4] is None or two[4] is None:
        return 1 if one[4] is None else -1
    ours, theirs = one[4].split("."), two[4].split(".")
    for mine, yours in zip(ours, theirs, strict=False):
        if mine == yours:
            continue
        if mine.isdigit() and yours.isdigit():
            return -1 if int(mine) < int(yours) else 1
        if mine.isdigit() or yours.isdigit():
            return -1 if mine.isdigit() else 1
        return -1 if mine < yours else 1
    return (len(ours) > len(theirs)) - (len(ours) < len(theirs))


def semver(value: str, text: str) -> bool:
    """Only full versions in ranges: enough for a second opinion."""
    precedence(text, "0.0.0")
    return any(all(comparator(part, text) for part in clause.split()) for clause in value.split("||"))


def comparator(part: str, text: str) -> bool:
    match = re.fullmatch(r"(>=|<=|>|<|=|\^|~)?(.+)", part)
    assert match
    sign, bound = match[1] or "=", match[2]
    order = precedence(text, bound)
    if sign in "^~":
        full = VERSION.fullmatch(bound)
        assert full
        major, minor, patch = int(full[1]), int(full[2]), int(full[3])
        if sign == "^" and major:
            high = f"{major + 1}.0.0-0"
        elif sign == "~" or minor:
            high = f"{major}.{minor + 1}.0-0"
        else:
            high = f"{major}.{minor}.{patch + 1}-0"
        return order >= 0 and precedence(text, high) < 0
    return {">=": order >= 0, "<=": order <= 0, ">": order > 0, "<": order < 0, "=": order == 0}[sign]


TEXT: dict[str, Any] = {
    "regex": lambda value, text: (
        re.search(value, text, re.ASCII) is not None
        and not (value.endswith("$") and text.endswith("\n") and not re.search(value[:-1] + r"\Z", text))
    ),
    "glob": glob,
    "path_within": within,
    "host_in": host_in,
    "url_scheme_in": scheme_in,
    "cidr_in": cidr_in,
    "semver": semver,
}
