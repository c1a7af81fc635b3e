"""Settings of a proxy, read once from the command line. Secrets come from files or variables."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ostiary.builtin import Builtin
from ostiary.errors import CallerFault
from ostiary.limits import DEFAULT_BOUNDS, Bounds

Header = tuple[bytes, bytes]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_PLAIN = re.compile(r"(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,4})(?:-(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,4})){0,5}")
"""A header's name that can be shown: half a secret that was typed in its place does not look like this."""
_PORT = re.compile(r"[0-9]{1,5}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_APPROVER = re.compile(r"user:[!-~]{1,123}")
_SECRET_WORDS = ("authorization", "cookie", "key", "token", "secret", "password", "credential")
_OURS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
MAX_HEADER_FILE = 65_536
MAX_VARIABLE = 64
"""What is longer is not compared with the names of variables."""
USUAL_RATE = 600
"""Requests a minute of one grant where nothing else is set: more than one agent can want."""
MAX_RATE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Listen:
    """Where an HTTP listener binds. Port 0 asks for any free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its private key, both PEM. `option` begins the options' names."""

    option: Literal["tls", "upstream"]
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """What clients call the listener behind a balancer.

    `port` is None where the URL names none; then a Host header may name any. `origin` is what a
    page served there sends as its Origin, `mcp` the URL that clients use.
    """

    host: str
    port: int | None
    default_port: int
    origin: str
    mcp: str

    @property
    def prefix(self) -> str:
        """The path that stands before those of the gate, without a slash at its end."""
        return urlsplit(self.mcp).path.removesuffix("/mcp")


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """Everything `ostiary proxy` was asked to do.

    Exactly one of `upstream` (a URL), `command` and `builtin` (a server of ours) is set.
    `listen` None means that the client speaks over standard input and output. `policy` None means
    that everything is denied.
    """

    policy: Path | None
    upstream: str | None
    command: tuple[str, ...]
    listen: Listen | None
    state_dir: str | None
    grant: str = "local"
    server: str = ""
    headers: tuple[Header, ...] = ()
    token_file: Path | None = None
    unsafe_no_token: bool = False
    unsafe_monitor: bool = False
    unsafe_skip_tests: bool = False
    allowed_hosts: tuple[str, ...] = ()
    pins: Literal["session", "locked"] = "session"
    durability: Literal["process", "power"] = "process"
    log_level: str = "warning"
    max_requests: int = USUAL_RATE
    upstream_transport: Literal["auto", "http", "sse"] = "auto"
    bounds: Bounds = DEFAULT_BOUNDS
    tls: KeyPair | None = None
    upstream_ca: Path | None = None
    upstream_pair: KeyPair | None = None
    trusted_proxies: tuple[Network, ...] = ()
    public_url: PublicUrl | None = None
    webhook: str | None = None
    webhook_secret_file: Path | None = None
    builtin: Builtin | None = None


def parse_listen(text: str) -> Listen:
    """Read `HOST:PORT`, `[IPv6]:PORT` or `:PORT` (which means 127.0.0.1)."""
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise CallerFault(
            f"--listen: expected HOST:PORT, found `{text}`", hint="for example --listen 127.0.0.1:8787"
        )
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    return Listen(host, int(port))


def key_pair(
    option: Literal["tls", "upstream"], certificate: Path | None, key: Path | None
) -> KeyPair | None:
    """Both files of a pair, or neither. Raises CallerFault for one without the other."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        given, missing = ("cert", "key") if key is None else ("key", "cert")
        raise CallerFault(
            f"--{option}-{given} is given without --{option}-{missing}",
            hint="a certificate and its private key go together; both may stand in one file",
        )
    return KeyPair(option, certificate, key)


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read the addresses and networks of `--trusted-proxy`. Raises CallerFault."""
    found: list[Network] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            inside = str(error).endswith("has host bits set")
            hint = f"did you mean `{ipaddress.ip_network(text, strict=False)}`" if inside else None
            raise CallerFault(
                f"--trusted-proxy: `{text[:80]}` is not an address or network",
                hint=hint or "for example 10.0.0.7 or 10.0.0.0/24",
            ) from None
        if network.prefixlen == 0:
            raise CallerFault(f"--trusted-proxy: `{text[:80]}` would trust every client")
        found.append(network)
    return tuple(found)


def parse_public_url(text: str) -> PublicUrl:
    """Read `--public-url`. Raises CallerFault for anything but http(s)://HOST[:PORT][/PATH]."""
    hint = "for example https://tools.example.org"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise CallerFault(f"--public-url: `{text[:200]}` is not a URL", hint=hint) from None
    plain = text.isascii() and text.isprintable() and " " not in text
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise CallerFault(f"--public-url: `{text[:200]}` is not an http or https URL", hint=hint)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise CallerFault("--public-url: credentials, a query or a fragment have no meaning here", hint=hint)
    default = 443 if parts.scheme == "https" else 80
    host = host.rstrip(".")
    shown = f"[{host}]" if ":" in host else host
    suffix = f":{port}" if port not in (None, default) else ""
    origin = f"{parts.scheme}://{shown}{suffix}"
    path = parts.path.rstrip("/")
    return PublicUrl(host, port, default, origin, origin + path + ("" if path.endswith("/mcp") else "/mcp"))


def checked_rate(number: int) -> int:
    """How many requests a minute one grant may send. Raises CallerFault when out of bounds."""
    if not 1 <= number <= MAX_RATE:
        hint = "a check is not switched off by a zero; set a number that is never reached instead"
        raise CallerFault(
            f"--max-requests: expected 1 to {MAX_RATE}, found {number}", hint=None if number else hint
        )
    return number


def checked_name(option: str, name: str) -> str:
    """A grant's or server's name: it becomes part of counters, records and file names."""
    if not _LABEL.fullmatch(name):
        raise CallerFault(
            f"{option}: `{name[:64]}` is not a name",
            hint="use 1 to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
        )
    return name


def checked_approver(option: str, name: str) -> str:
    """An approver's name, as `approvers` in a policy writes it. Raises CallerFault."""
    if not _APPROVER.fullmatch(name):
        raise CallerFault(
            f"{option}: `{name[:64]}` is not an approver's name", hint="for example user:oncall@example.org"
        )
    return name


def gather_headers(
    plain: Sequence[str], from_env: Sequence[str], files: Sequence[str], environ: Mapping[str, str]
) -> tuple[Header, ...]:
    """The operator's own upstream headers; secrets only from variables and files.

    `from_env` has a word before the variable where the header has one before the secret, as in
    `Authorization: Bearer TOKEN`.

    Raises CallerFault when a header is malformed, is one that the gate sets itself, or looks
    like a secret although it was given on the command line, where every process can read it.
    No error shows what was typed: it may be a secret in the wrong place.
    """
    found: list[Header] = []
    for at, text in enumerate(plain, 1):
        where = "--header" + _which(at, plain)
        name, value = _split(text, where)
        if any(word in name.lower() for word in _SECRET_WORDS):
            raise CallerFault(
                f"{where}: the name is one of a secret, and a command line can be read by every process",
                hint="use --header-env 'NAME: VARIABLE' or --header-file FILE",
            )
        found.append(checked_header(name, value, where))
    for at, text in enumerate(from_env, 1):
        name, variable = _split(text, "--header-env")
        scheme, _, variable = variable.rpartition(" ")
        secret = environ.get(variable)
        if secret is None:
            header = f"`{name}`" if _PLAIN.fullmatch(name) else "a header"
            raise unset("--header-env", f"the variable for {header}", variable, environ)
        where = "--header-env" + _which(at, from_env)
        found.append(checked_header(name, f"{scheme} {secret}", where))
    for file in files:
        found.extend(_from_file(Path(file)))
    return tuple(found)


def _which(at: int, given: Sequence[str]) -> str:
    """Which of several one is that cannot be shown."""
    return f", number {at} of {len(given)}" if len(given) > 1 else ""


def unset(option: str, what: str, typed: str, environ: Mapping[str, str]) -> CallerFault:
    """The fault for a variable that is not set. Never says what was typed: it may be the secret itself."""
    folded = {name.upper(): name for name in environ}
    near = get_close_matches(typed.upper(), folded, n=1, cutoff=0.8) if len(typed) <= MAX_VARIABLE else []
    hint = "give the name of a variable that is set, never the value itself"
    return CallerFault(
        f"{option}: {what} is not set", hint=f"did you mean `{folded[near[0]]}`" if near else hint
    )


def _from_file(path: Path) -> list[Header]:
    """Headers from a file with one `Name: value` a line; empty lines and `#` lines are skipped."""
    try:
        with path.open("rb") as file:
            readable_by_others = os.fstat(file.fileno()).st_mode & 0o077
            text = file.read(MAX_HEADER_FILE + 1).decode()
    except OSError as error:
        raise CallerFault(f"--header-file: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CallerFault(f"--header-file: {path} is not UTF-8 text") from error
    if readable_by_others:
        raise CallerFault(f"--header-file: others can read or write {path}", hint=f"chmod 600 {path}")
    if len(text) > MAX_HEADER_FILE:
        raise CallerFault(f"--header-file: {path} is over {MAX_HEADER_FILE} bytes")
    lines = [
        (f"--header-file {path}, line {at}", line.strip()) for at, line in enumerate(text.split("\n"), 1)
    ]
    return [checked_header(*_split(line, where), where) for where, line in lines if line and line[0] != "#"]


def _split(text: str, where: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not _NAME.fullmatch(name.strip()):
        raise CallerFault(f"{where}: expected 'Name: value'", hint="for example 'X-Team: platform'")
    return name.strip(), value.strip()


def checked_header(name: str, value: str, where: str = "") -> Header:
    """A header of the operator's own for an upstream, as it is sent.

    Raises CallerFault, which does not say the value, for one that is malformed or that the gate sets itself.
    With `where` it was typed, it may be a secret in the wrong place: the name is not said, either.
    """
    if not _NAME.fullmatch(name):
        said = f"{where}: this" if where else f"`{name[:80]}`"
        raise CallerFault(f"{said} is no name of a header", hint="for example `X-Team`")
    lower = name.lower()
    if lower in _OURS or lower.startswith("mcp-"):
        shown = f"`{name}`" if not where or lower in _OURS else "a header that begins with `mcp-`"
        said = f"{where}: {shown}" if where else shown
        raise CallerFault(f"{said} is set by the gate itself and cannot be configured")
    value = value.strip()
    if any(ord(char) < 32 or ord(char) > 255 or ord(char) == 127 for char in value):  # noqa: PLR2004 - control characters
        said = f"{where}: the value" if where else f"the value of header `{name}`"
        raise CallerFault(f"{said} holds a character that HTTP does not allow")
    return lower.encode(), value.encode("latin-1")
