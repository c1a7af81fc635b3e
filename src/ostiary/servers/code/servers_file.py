"""Which servers code may call, from a file of the form that MCP clients use. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple, cast

import msgspec

from ostiary.errors import CallerFault
from ostiary.servers.code.functions import prefix_of
from ostiary.settings import checked_header, unset
from ostiary.wire.message import as_object

MAX_BYTES: Final = 1 << 20
MAX_SERVERS: Final = 64
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_. -]{0,63}")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],]')
_COMMAND_KEYS: Final = frozenset({"command", "args", "env", "cwd", "type"})
_URL_KEYS: Final = frozenset({"url", "headers", "type"})
_EXAMPLE: Final = '{"mcpServers": {"Time": {"command": "uvx", "args": ["mcp-server-time"]}}}'


class ServerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One server: either `command` (its words) with `env` and `cwd`, or `url` with `headers`."""

    name: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    cwd: str = ""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def read_servers(content: bytes, file: str, environ: Mapping[str, str]) -> tuple[ServerEntry, ...]:
    """The servers of a file, in its order.

    `${NAME}` in a value of `env` and `headers` stands for a variable of the environment, so that no
    secret has to be in the file. Raises CallerFault for anything that is not understood.
    """
    if len(content) > MAX_BYTES:
        raise CallerFault(f"{file}: over {MAX_BYTES} bytes", hint="list only servers that code is to call")
    try:
        document = as_object(msgspec.json.decode(content)) or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallerFault(f"{file}: this is not JSON: {error}", hint=f"for example {_EXAMPLE}") from None
    twice = _twice(content.decode("utf-8"))
    if twice is not None:
        raise CallerFault(
            f"{file}:{twice.line}:{twice.column}: the key `{twice.key[:80]}` stands twice in one object",
            hint="remove one of them: programs differ in which they take",
        )
    servers = as_object(document.get("mcpServers"))
    if not servers:
        raise CallerFault(f"{file}: expected `mcpServers` with at least one server", hint=_EXAMPLE)
    if len(servers) > MAX_SERVERS:
        raise CallerFault(f"{file}: {len(servers)} servers, and {MAX_SERVERS} is the most")
    found = tuple(_entry(name, value, file, environ) for name, value in servers.items())
    spelled: dict[str, str] = {}
    for name in servers:
        other = spelled.setdefault(prefix_of(name), name)
        if other != name:
            raise CallerFault(
                f"{file}: functions of `{other}` and `{name}` would have the same names",
                hint="give one of them a name that differs in a letter or digit",
            )
    return found


class _Twice(NamedTuple):
    """A key that its object has already, and where it stands, counted from 1."""

    key: str
    line: int
    column: int


def _twice(text: str) -> _Twice | None:
    """The first key that stands twice in one object of a text that is JSON."""
    open_ones: list[set[str] | None] = []  # the keys of each object that is open; None for a list
    key_next = False
    for found in _TOKEN.finditer(text):
        word = found[0]
        inside = open_ones[-1] if open_ones else None
        if word == "{":
            open_ones.append(set())
        elif word == "[":
            open_ones.append(None)
        elif word in "}]":
            open_ones.pop()
        elif word[0] == '"' and key_next and inside is not None:
            key = str(msgspec.json.decode(word))
            if key in inside:
                line_start = text.rfind("\n", 0, found.start()) + 1
                line = text.count("\n", 0, found.start()) + 1
                return _Twice(key, line, found.start() - line_start + 1)
            inside.add(key)
        key_next = word in "{,"
    return None


def is_server_name(name: str) -> bool:
    """Whether a server can be called so."""
    return _NAME.fullmatch(name) is not None


def requested_entry(
    name: str, url: str, headers: Mapping[str, str], environ: Mapping[str, str]
) -> ServerEntry:
    """A server that was asked for while this runs, as if a file named it. Raises CallerFault."""
    return _entry(name, {"url": url, "headers": dict(headers)}, "requests for servers", environ)


def _entry(name: str, value: object, file: str, environ: Mapping[str, str]) -> ServerEntry:
    where = f"{file}: server `{name[:80]}`"
    if not _NAME.fullmatch(name):
        raise CallerFault(f"{where}: not a name", hint="a letter, then letters, digits, `_`, `-`, `.`")
    given = as_object(value) or {}
    if ("command" in given) == ("url" in given):
        raise CallerFault(f"{where}: expected either `command` or `url`")
    known = _URL_KEYS if "url" in given else _COMMAND_KEYS
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise CallerFault(
                f"{where}: unknown key `{key[:80]}`", hint=f"did you mean `{near[0]}`" if near else None
            )
    if "url" in given:
        headers = _texts(given.get("headers", {}), f"{where}: `headers`", environ)
        for key, text in headers.items():
            try:
                checked_header(key, text)
            except CallerFault as fault:
                raise CallerFault(f"{where}: {fault.message}", hint=fault.hint) from None
        return ServerEntry(
            name=name, url=_text(given["url"], f"{where}: `url`"), headers=tuple(headers.items())
        )
    arguments = given.get("args", [])
    if not isinstance(arguments, list):
        raise CallerFault(f"{where}: `args`: expected a list of texts")
    words = [_text(given["command"], f"{where}: `command`")]
    words += [_text(each, f"{where}: `args`") for each in cast("list[object]", arguments)]
    return ServerEntry(
        name=name,
        command=tuple(words),
        env=_texts(given.get("env", {}), f"{where}: `env`", environ),
        cwd=_text(given.get("cwd", ""), f"{where}: `cwd`"),
    )


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise CallerFault(f"{where}: expected a text")
    return value


def _texts(value: object, where: str, environ: Mapping[str, str]) -> dict[str, str]:
    given = as_object(value)
    if given is None:
        raise CallerFault(f"{where}: expected an object of texts")
    filled: dict[str, str] = {}
    for key, each in given.items():
        place = f"{where}, `{key}`"
        filled[key] = _filled(_text(each, place), place, environ)
    return filled


def _filled(text: str, where: str, environ: Mapping[str, str]) -> str:
    """The text with the values of its variables. Whoever put a value there does not read it in an error."""
    named = _VARIABLE.findall(text)
    for at, name in enumerate(named, 1):
        if name not in environ:
            which = f"variable number {at} of {len(named)}" if len(named) > 1 else "the variable"
            raise unset(where, which, name, environ)
    return _VARIABLE.sub(lambda found: environ[found[1]], text)
