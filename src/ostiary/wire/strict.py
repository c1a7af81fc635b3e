"""JSON that has exactly one reading, or none.

Two parsers that read one text differently are how a policy is passed by: a duplicate key, a key
that one side folds to another, a number one side rounds. What is accepted here is read alike by
every parser known to us; all else is refused whole.

Method. A canonical text (the fast encoder writes back exactly the bytes that were decoded) has
unique keys, no escapes to disagree on and only numbers that are their own shortest spelling.
Any other text is read a second time with every key seen and every fraction kept as a decimal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from unicodedata import normalize

import msgspec

from ostiary.errors import CallerFault
from ostiary.wire.message import Refusal

Json = dict[str, "Json"] | list["Json"] | str | int | float | Decimal | None
"""A value as `parse_json` returns it; bool is within int."""

Container = dict[str, Json] | list[Json]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602

MAX_BYTES = 4 * 1024 * 1024
"""Largest body read unless the caller says otherwise."""

MAX_DEPTH = 64
"""Deepest nesting of arrays and objects; the outermost container is depth 1."""

MAX_DIGITS = 400
"""Longest text of a number, in characters."""

MAX_EXPONENT_DIGITS = 9
"""Longest exponent, in digits. `1e9999999` stays a decimal and is never expanded."""

_MEMO_ENTRIES = 1024
_MEMO_KEYS = 32
_MEMO_LENGTH = 512

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the fast decoder raises for bytes that it cannot read: not JSON or of another shape, a key or
string that is not UTF-8, nesting deeper than the stack."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_clean: set[tuple[str, ...]] = set()
"""Key tuples already found clean: a memo, bounded in entries and in their length."""

_PROTOTYPE = "__proto__"
"""A key that JavaScript takes for something else: where an object with it is copied, the members of
its value become readable as if they stood beside it, and some readers leave it out."""

_WIDE = 10**300
"""Integers within it cannot be longer than `MAX_DIGITS`."""


class Refused(CallerFault):
    """Bytes that are not a message the gate will act on; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refused(rule: str, message: str, *, code: int = PARSE_ERROR, status: int = 400) -> Refused:
    """Build the exception for check `rule`."""
    return Refused(Refusal(code=code, status=status, message=message, rule=rule))


def fold(key: str) -> str:
    """Spell `key` as the most lenient parser would read it: NFKC, no case, no NUL.

    Covers U+017F and U+212A, which a parser that ignores case takes for `s` and `k`.
    """
    if key.isascii():
        return key.lower().replace("\0", "")
    return normalize("NFKC", normalize("NFKC", key).casefold()).replace("\0", "")


def quoted(key: str) -> str:
    """Name a key in a message: printable ASCII, at most 64 characters, in backticks."""
    text = key[:64].encode("ascii", "backslashreplace").decode("ascii")
    return "`" + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) + "`"


def parse_json(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Json:
    """Read one JSON value from `data`, or raise `Refused`.

    Returns dict, list, str, bool, None, int, float or Decimal; a float only where its shortest
    spelling is the text itself, else a Decimal. Nothing is rounded.
    """
    # 1. Size, before anything is read.
    if len(data) > max_bytes:
        raise refused("(size)", f"message is larger than {max_bytes} bytes", code=INVALID_REQUEST, status=413)
    # 2. The canonical text.
    value: Json
    try:
        value = _decode(data)
        canonical = _encode(value) == data
    except msgspec.ValidationError:  # a number beyond what the fast decoder holds
        value, canonical = None, False
    except UNREADABLE as error:
        raise _diagnosis(data, error, max_depth) from None
    # 3. Any other text: see every key, keep every fraction.
    if not canonical:
        value = _read_slowly(data, max_depth)
    # 4. Depth, and for a canonical text the keys.
    if canonical:
        _walk(value, max_depth)
    return value


def _read_slowly(data: bytes, max_depth: int) -> Json:
    try:
        value: Json = _slow.decode(data.decode("utf-8"))
    except RecursionError:
        raise _too_deep(max_depth) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _diagnosis(data, error, max_depth) from None
    if data.count(b"{") + data.count(b"[") > max_depth:
        _walk(value, max_depth)
    if b"\\u" in data and _SURROGATE_ESCAPE.search(data):
        _refuse_lone_surrogates(value)
    return value


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    keys = tuple(members)
    if len(keys) != len(pairs):
        raise _duplicate(pairs)
    if keys not in _clean:
        _check_keys(keys)
    return members


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise refused("(number)", f"a number is longer than {MAX_DIGITS} characters")
    return int(text)


def _fraction(text: str) -> Decimal:
    exponent = text.lower().partition("e")[2].lstrip("+-")
    if len(text) > MAX_DIGITS or len(exponent) > MAX_EXPONENT_DIGITS:
        raise refused("(number)", f"a number is longer than {MAX_DIGITS} characters or its exponent than 9")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise refused("(number)", "a number is outside every range") from None


def _constant(name: str) -> object:
    raise refused("(number)", f"`{name}` is not JSON")


_slow = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_fraction, parse_int=_integer, parse_constant=_constant
)


def _walk(value: Json, max_depth: int) -> None:
    """Check keys, integers and depth, level by level, so that no recursion is needed.

    The hottest loop of the gate: one type test for a string, no call for a clean object.
    """
    level: list[Container] = [[value]]
    depth = -1
    while level:
        depth += 1
        if depth > max_depth:
            raise _too_deep(max_depth)
        below: list[Container] = []
        for item in level:
            children: Iterable[Json] = item
            if type(item) is dict:
                if (keys := tuple(item)) not in _clean:
                    _check_keys(keys)
                children = item.values()
            for child in children:
                if type(child) is str:
                    continue
                if type(child) is dict or type(child) is list:
                    below.append(child)
                elif type(child) is int and not -_WIDE < child < _WIDE:
                    _integer(str(child))
        level = below


def _check_keys(keys: tuple[str, ...]) -> None:
    if _PROTOTYPE in keys:
        raise refused("(prototype key)", f"key `{_PROTOTYPE}` is not a key to JavaScript")
    seen: dict[str, str] = {}
    for key in keys:
        folded = fold(key)
        other = seen.setdefault(folded, key)
        if other is not key:
            raise refused("(key twin)", f"keys {quoted(other)} and {quoted(key)} differ only by folding")
    if len(keys) <= _MEMO_KEYS and sum(map(len, keys)) <= _MEMO_LENGTH:
        if len(_clean) >= _MEMO_ENTRIES:
            _clean.clear()
        _clean.add(keys)


def _duplicate(pairs: list[tuple[str, Json]]) -> Refused:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return refused("(duplicate key)", f"key {quoted(key)} appears twice in one object")
        seen.add(key)
    return refused("(duplicate key)", "a key appears twice in one object")


def _too_deep(max_depth: int) -> Refused:
    return refused("(depth)", f"nested deeper than {max_depth}")


def _refuse_lone_surrogates(value: Json) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        raise refused("(surrogate)", "a string holds half of a surrogate pair") from None


def _diagnosis(data: bytes, error: Exception, max_depth: int) -> Refused:
    """Name what is wrong with `data`, which some parser has already refused."""
    # 1. Nesting that made a parser give up.
    if isinstance(error, RecursionError):
        return _too_deep(max_depth)
    # 2. Bytes that are not plain UTF-8.
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return refused("(encoding)", "message begins with a byte order mark")
    if b"\0" in data:
        return refused("(encoding)", "message holds a NUL byte; only UTF-8 is read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as fault:
        return refused("(encoding)", f"not UTF-8 at byte {fault.start}")
    # 3. What the second parser says, which knows more words for it.
    try:
        _refuse_lone_surrogates(_slow.decode(text))
    except Refused as fault:
        return fault
    except RecursionError:
        return _too_deep(max_depth)
    except json.JSONDecodeError as fault:
        return refused("(syntax)", f"not JSON at byte {len(text[: fault.pos].encode('utf-8', 'replace'))}")
    return refused("(syntax)", "not JSON that every parser reads")
