"""Messages for the comparison of parsers: seeded, odd on purpose, some of them broken.

The same seed gives the same messages on every machine. Values are written by hand, so that one value
takes many spellings: escapes, white space, number forms, duplicate and folding keys.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

Value = object

TEXTS = (
    "",
    "a",
    "echo",
    "café",
    "\U0001f600",
    "\u2028x\u2029",
    "\u0085",
    "\x00",
    "\x7f",
    "\ufeff",
    "\ufffd",
    "\ud800",
    "\udc00a",
    "a\nb\r\n",
    "\\",
    '"',
    "/",
    "K",
    "\u212a",
    "ſ",
    "Ａ",
    "İ",
    "e\u0301",
    "é",
    "..",
    "__proto__",
    "constructor",
    " x ",
    "1",
    "1e400",
)
NUMBERS = (
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "1.10",
    "1e2",
    "1E+2",
    "1e-2",
    "100",
    "0.1",
    "0.30000000000000004",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "-9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "1" + "0" * 30,
    "1e308",
    "1e309",
    "-1e400",
    "1e-400",
    "5e-324",
    "2e-324",
    "0.1000000000000000055511151231257827",
    "1.00000000000000000001",
    "123456789012345678901234567890.5",
    "1e9999999",
    "0e9999999",
    "0.0",
    "-0.0",
    "1e0",
    "4.35",
    "2.5e-8",
)
BROKEN_NUMBERS = (
    "01",
    "+1",
    ".5",
    "5.",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e",
    "0x10",
    "1_000",
    "--1",
    "1" * 401,
)
KEYS = (
    "a",
    "path",
    "Path",
    "PATH",
    "p\u0430th",
    "name",
    "Name",
    "n\0",
    "arguments",
    "_meta",
    "method",
    "id",
    "",
    "0",
    "1",
    "10",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "length",
    "then",
    "toJSON",
    "é",
    "e\u0301",
    "\u212aey",
    "key",
    "\U0001f511",
    "by_alias",
    "meta",
    "root",
    "model_config",
    "task",
    "progressToken",
    "$ref",
    "\u2028",
)
METHODS = (
    "tools/call",
    "tools/list",
    "resources/read",
    "prompts/get",
    "completion/complete",
    "ping",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/initialized",
    "tasks/get",
    "x/y",
    "Tools/Call",
    "tools/call ",
    "tools\u2215call",
    "",
    "server/discover",
)
IDS = (
    "1",
    "0",
    "-1",
    "7",
    "9007199254740991",
    "9007199254740992",
    "1.0",
    "1e0",
    "1.5",
    "null",
    "true",
    "{}",
    "[1]",
    '"1"',
    '""',
    '"a\\u0000"',
    '"\\ud800"',
    '"x"',
    '"é"',
    "18446744073709551616",
    "-0",
)
SPLICES = (
    b"\xef\xbb\xbf",
    b"\x00",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\r",
    b"\n",
    b" ",
    b",",
    b"}",
    b"{",
    b'"',
    b"\\",
    b"\xe2\x80\xa8",
    b"/**/",
    b"\\u0000",
    b"1",
    b":",
    b"[",
    b"]",
)


class Spelled(NamedTuple):
    """A value that is written exactly like this."""

    text: str


class Pairs(NamedTuple):
    """An object by its members in order, duplicates allowed."""

    members: list[tuple[str, Value]]


class Writer:
    """Writes values in one of their many spellings."""

    def __init__(self, choice: random.Random) -> None:
        self._choice = choice
        self._escape = choice.choice((0.0, 0.0, 0.05, 1.0))
        self._space = choice.choice(("", "", "", " ", "\n", "\r\n", "\r", "\t"))

    def write(self, value: Value) -> str:
        """One spelling of `value`."""
        if isinstance(value, Spelled):
            return value.text
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Pairs):
            inner = (
                f"{self._gap()}{self._text(key)}{self._gap()}:{self._gap()}{self.write(item)}"
                for key, item in value.members
            )
            return "{" + f"{self._gap()},".join(inner) + self._gap() + "}"
        if isinstance(value, list):
            return "[" + ",".join(self._gap() + self.write(item) for item in value) + self._gap() + "]"
        return json.dumps(value)

    def _gap(self) -> str:
        return self._space if self._space and self._choice.random() < 0.3 else ""

    def _text(self, text: str) -> str:
        return '"' + "".join(map(self._character, text)) + '"'

    def _character(self, character: str) -> str:
        must = character in '"\\' or character < " " or "\ud800" <= character <= "\udfff"
        if must or self._choice.random() < self._escape:
            units = character.encode("utf-16-be", "surrogatepass").hex()
            spelled = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
            return spelled.upper().replace("\\U", "\\u") if self._choice.random() < 0.5 else spelled
        return character


class Messages:
    """An endless supply of messages."""

    def __init__(self, seed: int) -> None:
        self._choice = random.Random(seed)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self.one()

    def one(self) -> bytes:
        """The next message: usually well-formed, sometimes with one fault, sometimes broken at a byte."""
        choice = self._choice
        message = self._message()
        text = Writer(choice).write(message)
        data = text.encode("utf-8", "surrogatepass")
        while choice.random() < 0.1:
            data = self._broken(data)
        return data

    def _message(self) -> Value:
        choice = self._choice
        if choice.random() < 0.02:
            return [self._message() for _ in range(choice.randint(0, 2))]
        method = "tools/call" if choice.random() < 0.7 else choice.choice(METHODS)
        members: list[tuple[str, Value]] = [("jsonrpc", "2.0"), ("method", method)]
        if not method.startswith("notifications/") or choice.random() < 0.05:
            members.append(
                ("id", Spelled(choice.choice(IDS) if choice.random() < 0.3 else str(choice.randint(0, 99))))
            )
        if choice.random() < 0.95:
            members.append(("params", self._params(method)))
        if choice.random() < 0.06:
            members = [("jsonrpc", "2.0"), ("id", Spelled("1")), ("result", self._object(2))]
        if choice.random() < 0.06:
            members.append(
                (
                    choice.choice(("Id", "ID", "Method", "extra", "x", "result", "error", *KEYS)),
                    self._value(1),
                )
            )
        if choice.random() < 0.04:
            members.append((choice.choice(members)[0], self._value(0)))
        if choice.random() < 0.3:
            choice.shuffle(members)
        return Pairs(members)

    def _params(self, method: str) -> Value:
        choice = self._choice
        if choice.random() < 0.03:
            return self._value(1)
        members: list[tuple[str, Value]] = []
        if method in ("tools/call", "prompts/get") or choice.random() < 0.2:
            members.append(("name", choice.choice(TEXTS) if choice.random() < 0.3 else "echo"))
            if choice.random() < 0.95:
                members.append(("arguments", self._object(3) if choice.random() < 0.97 else self._value(1)))
        for name, when in (
            ("uri", "resources/"),
            ("taskId", "tasks/"),
            ("level", "logging/"),
            ("requestId", "cancelled"),
        ):
            if when in method:
                members.append((name, choice.choice(("x", "1", "info"))))
        if "progress" in method:
            members += [
                ("progressToken", Spelled(choice.choice(IDS))),
                ("progress", Spelled(choice.choice(NUMBERS))),
            ]
        if choice.random() < 0.3:
            members.append(("_meta", self._meta()))
        if choice.random() < 0.05:
            members.append((choice.choice(KEYS), self._value(1)))
        if choice.random() < 0.3:
            choice.shuffle(members)
        return Pairs(members)

    def _meta(self) -> Value:
        choice = self._choice
        if choice.random() < 0.1:
            return self._value(1)
        members: list[tuple[str, Value]] = []
        if choice.random() < 0.5:
            members.append(("progressToken", Spelled(choice.choice(IDS))))
        if choice.random() < 0.3:
            members.append((choice.choice(("traceparent", "x/y", "ProgressToken", *KEYS)), self._value(1)))
        return Pairs(members)

    def _object(self, depth: int) -> Value:
        choice = self._choice
        keys = [choice.choice(KEYS) for _ in range(choice.choice((0, 1, 1, 2, 3)))]
        if choice.random() < 0.95:
            keys = list({key.casefold(): key for key in keys}.values())
        return Pairs([(key, self._value(depth - 1)) for key in keys])

    def _value(self, depth: int) -> Value:
        choice = self._choice
        kinds: list[Callable[[], Value]] = [
            lambda: choice.choice(TEXTS),
            lambda: "".join(choice.choice(TEXTS) for _ in range(choice.randint(0, 3))),
            lambda: Spelled(choice.choice(NUMBERS)),
            self._number,
            lambda: choice.choice((True, False, None)),
        ]
        if choice.random() < 0.01:
            return Spelled(choice.choice(BROKEN_NUMBERS))
        if depth > 0:
            kinds += [
                lambda: self._object(depth),
                lambda: [self._value(depth - 1) for _ in range(choice.randint(0, 3))],
            ]
        if choice.random() < 0.005:
            deep = choice.choice((10, 60, 63, 64, 65, 200))
            return Spelled("[" * deep + "]" * deep)
        return choice.choice(kinds)()

    def _number(self) -> Value:
        choice = self._choice
        form = choice.randrange(4)
        if form == 0:
            return Spelled(str(choice.randint(-(10 ** choice.randint(1, 40)), 10 ** choice.randint(1, 40))))
        if form == 1:
            return Spelled(repr(choice.uniform(-1, 1) * 10.0 ** choice.randint(-300, 300)))
        digits = "".join(choice.choice("0123456789") for _ in range(choice.randint(1, 30)))
        if form == 2:
            return Spelled(f"{choice.randint(0, 9)}.{digits}")
        return Spelled(f"{choice.randint(1, 9)}.{digits}e{choice.randint(-330, 330)}")

    def _broken(self, data: bytes) -> bytes:
        choice = self._choice
        at = choice.randrange(len(data) + 1)
        form = choice.randrange(4)
        if form == 0:
            return data[:at] + choice.choice(SPLICES) + data[at:]
        if form == 1:
            return data[:at] + data[at + choice.randint(1, 4) :]
        if form == 2:
            return data[:at] + bytes([choice.randrange(256)]) + data[at + 1 :]
        other = self.one() if choice.random() < 0.3 else data
        return data[:at] + other[choice.randrange(len(other) + 1) :]
