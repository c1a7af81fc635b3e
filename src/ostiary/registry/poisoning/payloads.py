"""Texts that stand in another text in an encoded form. Bounded: how deep, how much, how many."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from ostiary.registry.poisoning.characters import smuggled

MAX_DEPTH: Final = 3
MAX_RUNS: Final = 64
MAX_DECODED: Final = 256 * 1024
"""Characters of decoded texts that are read for one text."""

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[ :,]?){12,}")
_HEX_ESCAPES: Final = re.compile(r"(?:(?:\\x|0x|\\u00|&#x)[0-9a-fA-F]{2}[ ,;]{0,2}){6,}")
_PERCENT: Final = re.compile(r"%[0-9a-fA-F]{2}")
_ESCAPE: Final = re.compile(r"\\u\{?([0-9a-fA-F]{4})\}?|\\x([0-9a-fA-F]{2})|\\U([0-9a-fA-F]{8})|\\([0-7]{3})")
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
_CODES: Final = re.compile(r"(?<!\d)(?:1?\d{2}(?:, ?| )){12,}1?\d{2}(?!\d)")
_FEW: Final = 6
_LAST: Final = 0x10FFFF
_WORD: Final = re.compile(r"[A-Za-z]{2,}")
_LONG: Final = 3
_COMMON: Final = (
    bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1)) + b" \n.,:;'\"!?()_-/<>"
)


def inner(text: str) -> Iterator[tuple[str, str]]:
    """Every text that is encoded in `text` or in such a text, with how it is hidden."""
    waiting: list[tuple[str, str, int]] = [("", text, 0)]
    left = MAX_DECODED
    seen = {text}
    while waiting:
        how, outer, depth = waiting.pop()
        for way, found in _decoded(outer):
            if found in seen or not found or left <= 0:
                continue
            seen.add(found)
            left -= len(found)
            whole = f"{how}, {way}" if how else way
            yield whole, found
            if depth + 1 < MAX_DEPTH:
                waiting.append((whole, found, depth + 1))


def sentence(text: str) -> bool:
    """Whether it reads as a sentence of some length: what would be written plainly if it were honest."""
    if (
        not text.isprintable()
        and not text.replace("\n", " ").replace("\t", " ").replace("\r", " ").isprintable()
    ):
        return False
    words = text.split()
    real = sum(bool(_WORD.fullmatch(word.strip(".,;:!?'\"()"))) for word in words)
    return len(words) >= _FEW and real * 4 >= len(words) * 3


def _decoded(text: str) -> Iterator[tuple[str, str]]:
    if not text.isascii():
        yield from smuggled(text)
    yield from _base64(text)
    yield from _hex(text)
    if sum(1 for _ in zip(_PERCENT.finditer(text), range(_LONG), strict=False)) == _LONG:
        yield "in percent signs", unquote(text, errors="replace")
    if sum(1 for _ in zip(_ESCAPE.finditer(text), range(_LONG), strict=False)) == _LONG:
        yield "in escapes", _ESCAPE.sub(_character, text)
    if "&" in text and _ENTITY.search(text):
        yield "in entities", html.unescape(text)
    for run, _ in zip(_CODES.findall(text), range(MAX_RUNS), strict=False):
        yield "in character codes", "".join(chr(int(code)) for code in re.findall(r"\d+", run))


def _character(found: re.Match[str]) -> str:
    four, two, eight, octal = found.groups()
    code = int(octal, 8) if octal else int(four or two or eight, 16)
    return chr(code) if code <= _LAST else ""


def _base64(text: str) -> Iterator[tuple[str, str]]:
    runs = _BASE64.findall(text)[:MAX_RUNS]
    if len(runs) > 1:
        runs.append("".join(runs))
    for run in runs:
        for start in range(4):
            yield from _from_base64(run[start:])


def _from_base64(run: str) -> Iterator[tuple[str, str]]:
    usable = run[: len(run) - (len(run) % 4 == 1)].replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(usable + "=" * (-len(usable) % 4))
    except (binascii.Error, ValueError):
        return
    found = _legible(data)
    if found:
        yield "in base64", found


def _hex(text: str) -> Iterator[tuple[str, str]]:
    for pattern in (_HEX, _HEX_ESCAPES):
        for run in pattern.findall(text)[:MAX_RUNS]:
            digits = re.sub(r"\\x|0x|\\u00|&#x|[^0-9a-fA-F]", "", run)
            data = bytes.fromhex(digits[: len(digits) // 2 * 2])
            decoded = _legible(data)
            if decoded:
                yield "in hexadecimal digits", decoded


def _legible(data: bytes) -> str:
    """The text that bytes are, mostly letters or at least UTF-8; empty for others, as random bytes are."""
    if data[1::2].count(0) * 2 > len(data) // 2:
        return data.decode("utf-16-le", "replace")
    if len(data.translate(None, _COMMON)) * 5 <= len(data):
        return data.decode("utf-8", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
