"""`addRemoteMcpServer`: files a request. An operator decides, and nothing is connected before."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from ostiary.arguments.fault import ArgumentError
from ostiary.arguments.url import read_url
from ostiary.errors import CallerFault
from ostiary.sandbox.egress.places import why_refused
from ostiary.servers.code import custom_schemas as schemas
from ostiary.servers.code.functions import prefix_of
from ostiary.servers.code.replies import text_of
from ostiary.servers.code.servers_file import is_server_name
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Arguments, Tool
from ostiary.settings import checked_header
from ostiary.store.server_requests import ServerRequest

MAX_URL: Final = 2_000
_TEMPLATE: Final = re.compile(r"(?:[A-Za-z][A-Za-z-]{0,15} )?\$\{[A-Za-z_][A-Za-z0-9_]{0,63}\}")
_SECRET_NAME: Final = re.compile(r"key|token|secret|passw|auth|sig|credential|session|jwt", re.IGNORECASE)
_RANDOM: Final = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_\-+=.~]{20,}")
_HERE: Final = ("localhost", "local", "internal", "lan", "home", "intranet", "localdomain", "arpa")

ADD: Final = """\
Ask for a server at a URL: files a request that an admin decides; the same call again tells its status."""


class Requests(Protocol):
    """Where requests are filed; it may wait: see `store.code_shelf.CodeShelf`."""

    def file(
        self, owner: str, name: str, url: str, headers: Mapping[str, str], reason: str, *, at: int
    ) -> tuple[ServerRequest, bool]: ...


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """Where one asks for a server. `names` gives those that there are, `own` is the server's that is asked.

    `fixed` are those that were there before anybody asked.

    `private` lets URLs lead to machines of one's own network. `linked` says whether the server of a
    request, by its name and number, is there to be called: for a moment also after an operator said no.
    """

    requests: Requests
    names: Callable[[], Sequence[str]]
    linked: Callable[[str, int], bool]
    fixed: frozenset[str]
    own: str
    private: bool
    clock: Callable[[], int]
    note: Callable[[str, str, str], object]


def remote_tool(counter: Counter) -> Tool:
    """The tool that asks for a server."""
    return Tool(
        name="addRemoteMcpServer",
        description=ADD,
        input_schema=schemas.ADD_SERVER,
        accepts=schemas.ADD_SERVER_ACCEPTED,
        annotations={"destructiveHint": False},
        handler=partial(_add, counter),
    )


async def _add(counter: Counter, arguments: Arguments, context: CallContext) -> ToolResult:
    name = arguments["name"]
    url = checked_url(arguments["url"], private=counter.private)
    headers = checked_headers(arguments.get("headers") or {}, url)
    reason = _line(arguments.get("description") or arguments.get("reason") or "")
    _free(name, counter)
    file = partial(counter.requests.file, context.owner, name, url, headers, reason, at=counter.clock())
    request, new = await asyncio.to_thread(file)
    if new:
        counter.note("server-request", f"request {request.number}: {name} at {url}", context.owner)
    connected = counter.linked(name, request.number)
    data: dict[str, Any] = {
        "request": request.number,
        "name": name,
        "url": url,
        "status": request.state,
        "connected": connected,
        "next": _next(request, connected=connected),
    }
    if request.note:
        data["note"] = request.note
    return ToolResult((text(text_of(data)),), data)


def _next(request: ServerRequest, *, connected: bool) -> str:
    if request.state == "pending":
        return (
            f"an admin decides with `ostiary code servers approve {request.number}`; "
            "make the same call again to see whether they have"
        )
    if request.state == "rejected":
        return "an admin has said no"
    return (
        "searchTools finds its tools"
        if connected
        else "it is approved; if it does not come in a moment, the log of the gate says why"
    )


def checked_url(url: str, *, private: bool = False) -> str:
    """A URL that may be asked for. Raises CallerFault: also for what looks like a credential in it."""
    try:
        place = read_url(url)
        parts = urlsplit(url)
    except (ArgumentError, ValueError) as error:
        said = str(error) if isinstance(error, ArgumentError) else "cannot be read"
        raise CallerFault(f"url: it {said}", hint="for example https://tools.example.org/mcp") from None
    if place.scheme not in ("http", "https") or parts.fragment or len(url) > MAX_URL:
        raise CallerFault("url: expected http:// or https:// and no fragment")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise CallerFault("url: expected printable ascii without spaces")
    if _carries_a_secret(place.host, parts.path, parts.query):
        raise CallerFault(
            "url: a part of it looks like a credential, which would be stored and shown",
            hint='name a variable in headers: {"Authorization": "Bearer ${NAME}"}',
        )
    if why := _inside(place.host, private=private):
        raise CallerFault(f"url: it leads to {why}", hint="name a server that anybody can reach")
    return url


def checked_headers(headers: Mapping[str, str], url: str) -> dict[str, str]:
    """Headers whose values name variables. Raises CallerFault, which does not say a value."""
    for name, value in headers.items():
        if not _TEMPLATE.fullmatch(value):
            raise CallerFault(
                f"headers: the value of `{name[:80]}` has to name a variable of the gate's environment",
                hint="for example `Bearer ${TICKETS_TOKEN}`; never put a secret itself here",
            )
        checked_header(name, "x")
    if headers and not url.lower().startswith("https:"):
        raise CallerFault("headers: what a variable holds is only sent over https")
    return dict(headers)


def _carries_a_secret(host: str, path: str, query: str) -> bool:
    pairs = parse_qsl(query, keep_blank_values=True)
    values = [*host.split("."), *unquote(path).split("/"), *(one for _, one in pairs)]
    return any(_SECRET_NAME.search(key) for key, _ in pairs) or any(_RANDOM.search(one) for one in values)


def _inside(host: str, *, private: bool) -> str:
    """Where a host leads that is not the open network; empty otherwise. Names are not looked up."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        labels = host.rstrip(".").split(".")
        if private or (len(labels) > 1 and labels[-1] not in _HERE):
            return ""
        return "a name of this machine or network"
    return why_refused(address, private=private)


def _free(name: str, counter: Counter) -> None:
    """Raises CallerFault for a name whose functions could be taken for those of another server."""
    if not is_server_name(name):
        raise CallerFault(
            f"name: `{name[:80]}` is not a name", hint="a letter, then letters, digits, `_`, `-`, `.`"
        )
    other = like_another(name, (counter.own, *counter.names()))
    if other:
        raise CallerFault(f"name: functions of `{name}` would look like those of `{other}`")
    if name in counter.fixed:
        raise CallerFault(f"name: there is a server `{name}` already", hint="searchTools finds its tools")
    if name == counter.own:
        raise CallerFault(f"name: `{name}` is the server that runs the code", hint="choose another")


def like_another(name: str, names: Sequence[str]) -> str:
    """Whose functions those of a server called `name` could be taken for; empty for nobody's."""
    own = prefix_of(name).lower()
    for other in names:
        taken = prefix_of(other).lower()
        if name != other and (own.startswith(taken) or taken.startswith(own)):
            return other
    return ""


def _line(said: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in said).split())[:1_000]
