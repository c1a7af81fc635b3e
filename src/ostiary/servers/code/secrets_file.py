"""Which secrets code may use, who may, and where they may go: a file of TOML or JSON. Pure."""

from __future__ import annotations

import builtins
import keyword
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal, cast

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.egress.places import Allowed, read_allowed
from ostiary.sandbox.masks import LEAST
from ostiary.settings import unset
from ostiary.wire.message import as_object

MAX_BYTES: Final = 256 << 10
MAX_SECRETS: Final = 64
MAX_VALUE: Final = 4_096
_NAME: Final = 64
_LISTED: Final = 64
_KEYS: Final = ("env", "file", "mode", "hosts", "servers", "grants")
_EVERYBODY: Final = "*"
_EXAMPLE: Final = '[secrets.TICKETS_TOKEN] with env = "TICKETS_TOKEN", hosts = [...], grants = [...]'

Mode = Literal["placeholder", "value"]
Open = Callable[[str], bytes]
"""The content of a file that holds a secret. Raises CallerFault with what is wrong with it."""


class SecretEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One secret. `hosts` are for `placeholder`, `servers` for `value`; `grants` may use it, `*` is all."""

    name: str
    value: str
    mode: Mode = "placeholder"
    hosts: tuple[Allowed, ...] = ()
    servers: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the value: what is printed by mistake shows none."""
        return f"SecretEntry({self.name!r}, {self.mode!r})"

    def is_for(self, grant: str) -> bool:
        """Whether this grant may use it. An empty list is for nobody."""
        return _EVERYBODY in self.grants or grant in self.grants


def read_secrets(
    content: bytes, file: str, environ: Mapping[str, str], opened: Open, private: frozenset[str] = frozenset()
) -> tuple[SecretEntry, ...]:
    """The secrets of a file, in its order. `private` names hosts that may have a private address.

    Raises CallerFault, with the place, for anything that is not understood; no value is in its words.
    """
    if len(content) > MAX_BYTES:
        raise CallerFault(f"{file}: over {MAX_BYTES} bytes", hint="values stand elsewhere; see `env`, `file`")
    document = _decoded(content, file)
    for key in document:
        if key != "secrets":
            raise CallerFault(f"{file}: unknown key `{key[:80]}`", hint=f"for example {_EXAMPLE}")
    secrets = as_object(document.get("secrets"))
    if not secrets:
        raise CallerFault(f"{file}: expected `secrets` with at least one of them", hint=_EXAMPLE)
    if len(secrets) > MAX_SECRETS:
        raise CallerFault(f"{file}: {len(secrets)} secrets, and {MAX_SECRETS} is the most")
    reading = _Reading(file, environ, opened, private)
    return tuple(reading.entry(name, value) for name, value in secrets.items())


def _decoded(content: bytes, file: str) -> dict[str, Any]:
    try:
        text = content.decode("utf-8")
        found: object = msgspec.json.decode(text) if file.endswith(".json") else tomllib.loads(text)
    except (UnicodeDecodeError, msgspec.DecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        form = "JSON" if file.endswith(".json") else "TOML"
        # Only where it is: the words of a parser may quote what stands there.
        at = getattr(error, "lineno", None)
        where = f" (line {at})" if at else ""
        raise CallerFault(f"{file}: this is not {form}{where}", hint=f"for example {_EXAMPLE}") from None
    document = as_object(found)
    if document is None:
        raise CallerFault(f"{file}: expected an object", hint=f"for example {_EXAMPLE}")
    return dict(document)


class _Reading:
    def __init__(self, file: str, environ: Mapping[str, str], opened: Open, private: frozenset[str]) -> None:
        self._file = file
        self._environ = environ
        self._opened = opened
        self._private = private

    def entry(self, name: str, given: object) -> SecretEntry:
        where = f"{self._file}: secret `{name[:80]}`"
        _check_name(name, where)
        told = as_object(given)
        if told is None:
            raise CallerFault(f"{where}: expected a table", hint=f"for example {_EXAMPLE}")
        for key in told:
            if key not in _KEYS:
                near = get_close_matches(key, _KEYS, n=1)
                hint = f"did you mean `{near[0]}`" if near else f"the keys are {', '.join(_KEYS)}"
                raise CallerFault(f"{where}: unknown key `{key[:80]}`", hint=hint)
        mode = told.get("mode", "placeholder")
        if mode not in {"placeholder", "value"}:
            raise CallerFault(f"{where}: `mode`: expected `placeholder` or `value`")
        if "grants" not in told:
            raise CallerFault(
                f"{where}: `grants` is missing", hint='who may use it, such as ["local"]; ["*"] is everybody'
            )
        hosts = self._hosts(told, where, mode)
        if mode == "placeholder" and "servers" in told:
            raise CallerFault(f"{where}: `servers` is for mode `value`", hint="a placeholder goes to no tool")
        return SecretEntry(
            name=name,
            value=self._value(told, where, mode),
            mode=cast("Mode", mode),
            hosts=hosts,
            servers=_texts(told.get("servers", []), f"{where}: `servers`"),
            grants=_texts(told["grants"], f"{where}: `grants`"),
        )

    def _hosts(self, told: Mapping[str, object], where: str, mode: object) -> tuple[Allowed, ...]:
        if mode == "value":
            if "hosts" in told:
                raise CallerFault(
                    f"{where}: `hosts` is for mode `placeholder`",
                    hint="code that holds a value has no network",
                )
            return ()
        hosts = _texts(told.get("hosts", []), f"{where}: `hosts`")
        if not hosts:
            raise CallerFault(f"{where}: `hosts` is missing", hint='such as ["api.example.org"]')
        try:
            return tuple(read_allowed(host, private=host in self._private) for host in hosts)
        except CallerFault as fault:
            raise CallerFault(f"{where}: {fault.message}", hint=fault.hint) from None

    def _value(self, told: Mapping[str, object], where: str, mode: object) -> str:
        if ("env" in told) == ("file" in told):
            raise CallerFault(
                f"{where}: expected either `env` or `file`", hint="the value stands nowhere else"
            )
        key = "env" if "env" in told else "file"
        source = told[key]
        if not isinstance(source, str) or not source or "\0" in source:
            raise CallerFault(f"{where}: `{key}`: expected a text")
        if key == "env":
            value = self._environ.get(source)
            if value is None:
                raise unset(f"{where}: `env`", "the variable", source, self._environ)
        else:
            value = self._of_file(source, where)
        return _checked(value, where, mode)

    def _of_file(self, path: str, where: str) -> str:
        try:
            return self._opened(path).decode("utf-8").removesuffix("\n").removesuffix("\r")
        except CallerFault as fault:
            raise CallerFault(f"{where}: {fault.message}", hint=fault.hint) from None
        except UnicodeDecodeError:
            raise CallerFault(f"{where}: `file` is not text in UTF-8") from None


def _check_name(name: str, where: str) -> None:
    taken = keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name)
    if not name.isidentifier() or not name.isascii() or len(name) > _NAME or name.startswith(("mcp_", "__")):
        raise CallerFault(
            f"{where}: cannot be a variable here", hint="letters, digits and `_`; `mcp_` begins tools' names"
        )
    if taken or name in {"call_tool", "ToolError"}:
        raise CallerFault(f"{where}: Python has something else by that name", hint="call it another way")


def _checked(value: str, where: str, mode: object) -> str:
    if not len(value) >= LEAST or len(value.encode()) > MAX_VALUE:
        raise CallerFault(
            f"{where}: the value must have {LEAST} characters to {MAX_VALUE} bytes",
            hint="shorter ones cannot be told from other text",
        )
    if mode == "placeholder" and not (value.isascii() and value.isprintable() and value.strip() == value):
        raise CallerFault(f"{where}: the value cannot stand in a header: expected printable ASCII")
    if any(not char.isprintable() and char not in "\n\r\t" for char in value):
        raise CallerFault(f"{where}: the value holds control characters")
    return value


def _texts(given: object, where: str) -> tuple[str, ...]:
    found = cast("list[object]", given) if isinstance(given, list) else None
    if found is None or len(found) > _LISTED or not all(isinstance(one, str) and one for one in found):
        raise CallerFault(f"{where}: expected a list of at most {_LISTED} texts")
    return tuple(cast("list[str]", found))
