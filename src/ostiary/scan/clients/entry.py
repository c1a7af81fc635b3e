"""What one server's entry in a configuration says, in whichever client's words.

An entry that could be read in two ways is refused with its place: a client would take one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, NoReturn, cast

import msgspec

from ostiary.scan.clients.spans import ConfigFault, Slot
from ostiary.scan.scanned import Target, Transport
from ostiary.wire.message import as_object
from ostiary.wire.strict import quoted

Kind = Literal["command", "url", "extension"]
"""How a server is reached. An extension of an editor is started in a way that no file tells."""

URL_KEYS: Final = ("url", "httpUrl", "serverUrl")
HEADER_KEYS: Final = ("headers", "http_headers")
MAX_TEXT: Final = 64 * 1024
MAX_ITEMS: Final = 1024

_TRANSPORTS: Final[Mapping[str, Transport]] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamablehttp": "http",
    "sse": "sse",
    "local": "stdio",
}
_SWITCHES: Final[Mapping[str, str]] = {"codex": "enabled", "windsurf": "disabled", "zed": "enabled"}
"""The key by which a client is known to leave a server out. Others start it whatever the entry says."""
_PLACEHOLDER: Final = re.compile(r"\$\{([^{}\n]{1,200})\}")
_BARE: Final = re.compile(r"(?:Bearer |https?://)?\$([A-Za-z_][A-Za-z0-9_]{0,199})(?:/.*)?", re.IGNORECASE)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One server as a configuration names it.

    `folder` is the project that the entry is for, where the file holds entries of many. `enabled` is
    False where the file switches it off. `placeholders` are what the client puts in when it starts
    the server, as `env:TOKEN`; they stand in the target as they are written. `env_file` names a file
    with more variables, which was not read.
    """

    target: Target
    kind: Kind
    line: int
    column: int
    folder: str = ""
    enabled: bool = True
    placeholders: tuple[str, ...] = ()
    env_file: str = ""


def entry(slot: Slot, *, source: str, client: str, spot: tuple[int, int]) -> Entry:
    """What `slot` says. Raises ConfigFault with the place of the key that is not understood."""
    reader = _Fields(slot)
    command, environment = reader.command()
    url = reader.url()
    kind: Kind = "command" if command else "url" if url else "extension"
    headers = reader.headers()
    if command and url:
        reader.fail("url", "either a `command` or an address, not both")
    if kind == "extension" and not reader.is_extension():
        raise ConfigFault(
            f"expected `command` or one of {_listed(URL_KEYS)} for the server {quoted(slot.name)}", slot.start
        )
    target = Target(
        name=slot.name,
        source=source,
        client=client,
        transport=reader.transport(kind, client),
        command=command,
        environment=environment,
        cwd=reader.text("cwd"),
        url=url,
        headers=headers,
    )
    return Entry(
        target=target,
        kind=kind,
        line=spot[0],
        column=spot[1],
        folder=slot.route[1] if slot.route[0] == "projects" else "",
        enabled=reader.enabled(client),
        placeholders=_placeholders(target),
        env_file=reader.text("envFile"),
    )


class _Fields:
    """The keys of one entry, each checked as it is taken."""

    def __init__(self, slot: Slot) -> None:
        if as_object(slot.value) is None:
            raise ConfigFault(f"expected an object for the server {quoted(slot.name)}", slot.start)
        self._slot = slot
        self._fields = slot.fields

    def fail(self, key: str, expected: str) -> NoReturn:
        place = next((each.value for each in self._slot.members if each.key == key), self._slot.start)
        raise ConfigFault(f"expected {expected} in the server {quoted(self._slot.name)}", place)

    def text(self, key: str) -> str:
        value = self._fields.get(key)
        return "" if value is None else self._checked(value, key, f"a text at `{key}`")

    def _checked(self, value: object, key: str, expected: str) -> str:
        if not isinstance(value, str) or "\0" in value or len(value) > MAX_TEXT:
            self.fail(key, expected)
        return value

    def command(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """The command with its arguments, and its environment."""
        value = self._fields.get("command")
        nested = as_object(value)
        if nested is None and value is None:
            return (), self._pairs(self._fields, "env", "env")
        fields = self._fields if nested is None else nested
        program = value if nested is None else nested.get("path")
        first = self._checked(program, "command", "a text at `command`")
        if not first:
            self.fail("command", "a program at `command`, which is empty")
        given = fields.get("args")
        items: list[object] = [] if given is None else self._list(given, "args")
        words = [self._checked(each, "args", "a list of texts at `args`") for each in items]
        return (first, *words), self._pairs(fields, "env", "env")

    def _list(self, value: object, key: str) -> list[object]:
        items = cast("list[object]", value) if isinstance(value, list) else None
        if items is None or len(items) > MAX_ITEMS:
            self.fail(key, f"a list of texts at `{key}`")
        return items

    def _pairs(self, fields: Mapping[str, object], key: str, place: str) -> dict[str, str]:
        """An object of texts. A number is its text, and null is as good as absent, as clients have it."""
        value = fields.get(key)
        pairs = as_object(cast("dict[str, object]", {}) if value is None else value)
        if pairs is None or len(pairs) > MAX_ITEMS:
            self.fail(place, f"an object of texts at `{key}`")
        found: dict[str, str] = {}
        for name, each in pairs.items():
            if isinstance(each, int | float | Decimal) and not isinstance(each, bool):
                found[name] = str(each)
            elif each is not None:
                found[name] = self._checked(each, place, f"an object of texts at `{key}`")
        return found

    def url(self) -> str:
        given = [key for key in URL_KEYS if self._fields.get(key) is not None]
        if len(given) > 1:
            self.fail(given[1], f"one address, not both `{given[0]}` and `{given[1]}`,")
        return self.text(given[0]) if given else ""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """What is sent along. A header whose value Codex takes from a variable holds its placeholder."""
        found: dict[str, str] = {}
        for key in HEADER_KEYS:
            found |= self._pairs(self._fields, key, key)
        named = self._pairs(self._fields, "env_http_headers", "env_http_headers")
        found |= {name: f"${{{variable}}}" for name, variable in named.items()}
        if bearer := self.text("bearer_token_env_var"):
            found["Authorization"] = f"Bearer ${{{bearer}}}"
        return tuple(found.items())

    def transport(self, kind: Kind, client: str) -> Transport:
        """How it is spoken to; `auto` where the client tries one after the other, or does not say."""
        key = "type" if self._fields.get("type") is not None else "transport"
        said = self.text(key)
        known = _TRANSPORTS.get(said.lower())
        if said and known is None:
            self.fail(key, f"stdio, http or sse at `{key}`")
        if kind != "url":
            if known not in {None, "stdio"}:
                self.fail(key, f"stdio at `{key}` beside a `command`")
            return "stdio"
        if known == "stdio":
            self.fail(key, f"http or sse at `{key}` beside an address")
        if client == "vs-code" and known == "http":
            return "auto"
        if known is None and (client == "codex" or self._fields.get("httpUrl") is not None):
            return "http"
        return known or "auto"

    def enabled(self, client: str) -> bool:
        """Whether `client` starts it. A word that it does not go by switches nothing off."""
        on = True
        for key, off in (("disabled", True), ("enabled", False)):
            value = self._fields.get(key)
            if value is not None and not isinstance(value, bool):
                self.fail(key, f"true or false at `{key}`")
            on = on and not (value is off and _SWITCHES.get(client) == key)
        return on

    def is_extension(self) -> bool:
        """Zed names servers of its extensions with their settings alone."""
        return self._fields.get("source") == "extension" or (
            self._slot.route[0] == "context_servers" and "settings" in self._fields
        )


def _placeholders(target: Target) -> tuple[str, ...]:
    """What the client puts in. A `$` inside of a value may be one of a password, which is not shown."""
    texts = [*target.command, *target.environment.values(), target.cwd, target.url]
    texts += [value for _, value in target.headers]
    found = {each[1].partition(":-")[0] for text in texts for each in _PLACEHOLDER.finditer(text)}
    found |= {each[1] for text in texts if (each := _BARE.fullmatch(text))}
    return tuple(sorted(found))


def _listed(keys: tuple[str, ...]) -> str:
    return ", ".join(f"`{key}`" for key in keys)
