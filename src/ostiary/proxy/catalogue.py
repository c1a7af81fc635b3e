"""The upstream's tool list, read by the gate itself before the first call it must check (P7).

One list per link: a legacy session has its own tools, the modern era has one list per grant.
A list is read again after `notifications/tools/list_changed`, and after the client itself has
listed, since what the client saw is what it will call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec

from ostiary.calls.call import Consulted, NoCatalogue
from ostiary.calls.stop import Stop
from ostiary.errors import UpstreamFault
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.proxy.collect import Collected, SessionGone, collect
from ostiary.proxy.differences import Differences, differences, unlike
from ostiary.proxy.exchange import Callback, Header, Upstream, UpstreamRequest
from ostiary.registry.fingerprint import definition
from ostiary.wire.envelope import read_message
from ostiary.wire.lists import ListPage, read_page
from ostiary.wire.message import Message, Refusal

MAX_PAGES = 100
MAX_TOOLS = 10_000
MAX_LINKS = 10_000
MAX_BYTES = 16 * 1024 * 1024

Link = tuple[str, str]
"""Grant, and session name (empty where there is none)."""

Digest = Callable[[bytes], str]


class Asking(msgspec.Struct, frozen=True):
    """How to ask on one link: the headers and `_meta` of the call that made it necessary."""

    link: Link
    headers: tuple[Header, ...]
    meta: Mapping[str, object] | None


Prepare = Callable[[Catalogue, Callable[[], None]], None]


class Pins(msgspec.Struct, frozen=True):
    """Pinned definition digests by tool name; None means that nothing is pinned yet.

    `texts` are the canonical definitions, where they were kept: what changed is said by them.
    """

    digests: Mapping[str, str] | None = None
    texts: Mapping[str, bytes] = {}

    def definitions(self) -> dict[str, ToolDefinition]:
        """The tools as they were pinned, to compare with."""
        pinned = self.digests or {}
        return {
            name: ToolDefinition(name, digest, raw=self.texts.get(name, b""))
            for name, digest in pinned.items()
        }


OnChanged = Callable[[Link, Differences], None]
OnSeen = Callable[[Catalogue, Pins], None]


def _unseen(_catalogue: Catalogue, _pins: Pins) -> None:
    """Nobody keeps what was seen."""


class Catalogues:
    """Reads and keeps tool lists.

    `on_changed` is told when a list differs from the one before, from what a client was shown, or,
    if it is the first of its link, from the pins. `prepare` does what takes long about a list, away
    from the event loop, and calls back. `on_seen`, to be set, is given each list while there are pins.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        mint: Callable[[], str],
        pins: Pins | None,
        on_changed: OnChanged,
        prepare: Prepare,
    ) -> None:
        self._prepare = prepare
        self._upstream = upstream
        self._mint = mint
        self._pins = pins
        self._on_changed = on_changed
        self.on_seen: OnSeen = _unseen
        self._lists: OrderedDict[Link, Catalogue] = OrderedDict()
        self._former: OrderedDict[Link, Catalogue] = OrderedDict()
        self._shown: OrderedDict[Link, dict[str, ToolDefinition]] = OrderedDict()
        self._stale: set[Link] = set()
        self._doubted = False
        self._waiting: dict[Link, list[Callable[[Consulted], None]]] = {}
        self._asked: dict[Link, Callback] = {}

    def known(self, link: Link) -> Catalogue | None:
        """The current list, or None when it has to be read. While it is read again nothing is relied on."""
        return None if link in self._stale or link in self._waiting else self._lists.get(link)

    def latest(self, link: Link) -> Catalogue | None:
        """The list that was read last, even if it is in doubt by now."""
        return self._lists.get(link) or self._former.get(link)

    def consult(self, asking: Asking, done: Callable[[Consulted], None]) -> None:
        """Give `done` the current list, reading it first where needed."""
        link = asking.link
        known = self.known(link)
        if known is not None:
            done(known)
            return
        waiting = self._waiting.get(link)
        if waiting is not None:
            waiting.append(done)
            return
        self._waiting[link] = [done]
        self._stale.discard(link)
        self._doubted = False  # a doubt that comes meanwhile is about this list, too
        _Reading(self, asking).next_page(None)

    def of_page(self, message: Message) -> Catalogue:
        """The definitions of one `tools/list` answer that is on its way to a client."""
        page = read_page(message)
        reading = Definitions()
        if not isinstance(page, str):
            reading.add(page)
        return self.catalogue(reading)

    def listed(self, link: Link, page: Catalogue) -> None:
        """The client has seen `page`: unless that is the whole of our own list, ours is in doubt."""
        known = self._lists.get(link)
        if known is None or _digests(known) != _digests(page):
            self.invalidate(link)
        # What it was shown and we did not know is what our next reading is compared with, too.
        ours = Catalogue().definitions if known is None else known.definitions
        shown = {
            name: tool for name, tool in self._shown.pop(link, {}).items() if name not in page.definitions
        }
        shown |= {name: tool for name, tool in page.definitions.items() if unlike(ours.get(name), tool)}
        if shown and len(shown) <= MAX_TOOLS:
            self._shown[link] = shown
            if len(self._shown) > MAX_LINKS:
                self._shown.popitem(last=False)

    def invalidate(self, link: Link) -> None:
        """The list may have changed: read it again before the next call."""
        if link in self._lists or link in self._waiting:
            self._stale.add(link)

    def doubt(self) -> None:
        """The server may have been started anew: no list is relied on before it was read again."""
        if not self._doubted:
            self._doubted = True
            self._stale.update(self._lists, self._waiting)

    def stop(self, stop: Stop, server: str) -> None:
        """Read no more on behalf of whom `stop` covers: whoever waits for a list is told so."""
        for link in [link for link in self._waiting if stop.scope.covers(link[0], server)]:
            give_up = self._asked.pop(link, None)
            if give_up is not None:
                give_up()
            self.settle(link, NoCatalogue(stop.note, stopped=stop))

    def drop(self, link: Link) -> None:
        """Forget an ended session's list."""
        self._lists.pop(link, None)
        self._former.pop(link, None)
        self._shown.pop(link, None)
        self._stale.discard(link)

    def request(self, asking: Asking, cursor: str | None) -> tuple[str, UpstreamRequest]:
        """One `tools/list` request of our own, and its id."""
        message_id = self._mint()
        params: dict[str, object] = {}
        headers = list(asking.headers)
        if cursor is not None:
            params["cursor"] = cursor
        if asking.meta is not None:
            params["_meta"] = dict(asking.meta)
            headers.append((b"mcp-method", b"tools/list"))
        envelope = {"jsonrpc": "2.0", "id": message_id, "method": "tools/list", "params": params}
        body = msgspec.json.encode(envelope)
        return message_id, UpstreamRequest("POST", headers, body, idempotent=True, grant=asking.link[0])

    def send(
        self, link: Link, request: UpstreamRequest, message_id: str, done: Callable[[Collected], None]
    ) -> None:
        """Send one page request and collect its answer."""
        self._asked[link] = collect(self._upstream, request, message_id, MAX_BYTES, done)

    def complete(self, link: Link, read: Catalogue) -> None:
        """A list was read to its end: keep it once it is prepared."""
        self._prepare(read, lambda: self.settle(link, read))

    def settle(self, link: Link, result: Consulted) -> None:
        """Keep a list that was read, or report why it could not be, to everyone who waits."""
        self._asked.pop(link, None)
        before = self._lists.pop(link, None) or self._former.pop(link, None)
        if isinstance(result, NoCatalogue):
            # A list that could not be read again is not the current one any more, only the last.
            self._stale.discard(link)
            self._keep_former(link, before)
        else:
            result = self._held_against(result.definitions, result.ambiguous)  # they may be others by now
            self._lists[link] = result
            self._doubted = False
            if len(self._lists) > MAX_LINKS:
                oldest, _ = self._lists.popitem(last=False)
                self._stale.discard(oldest)
            self._tell(link, before, result)
        for done in self._waiting.pop(link, ()):
            done(result)

    def _tell(self, link: Link, before: Catalogue | None, now: Catalogue) -> None:
        """Report what differs from what anybody relied on until now."""
        former = None if before is None else before.definitions
        if former is None and self._pins is not None:
            former = self._pins.definitions() or None
        found = differences(former, self._shown.pop(link, {}), now.definitions)
        if found.names:
            self._on_changed(link, found)
        if self._pins is not None:
            self.on_seen(now, self._pins)

    def repin(self, pins: Pins) -> dict[Link, tuple[Catalogue, Catalogue]]:
        """Hold every list against other pins from now on; returns each as it was judged before and is now."""
        self._pins = pins
        moved: dict[Link, tuple[Catalogue, Catalogue]] = {}
        for kept in (self._former, self._lists):
            for link, before in kept.items():
                kept[link] = self._held_against(before.definitions, before.ambiguous)
                moved[link] = (before, kept[link])
        if self._lists:
            self.on_seen(next(reversed(self._lists.values())), pins)
        return moved

    def _keep_former(self, link: Link, before: Catalogue | None) -> None:
        """What is read after the server is back is compared with what it was before."""
        if before is not None:
            self._former[link] = before
            if len(self._former) > MAX_LINKS:
                self._former.popitem(last=False)

    def catalogue(self, read: Definitions) -> Catalogue:
        """Compare what was read with the pins. A name defined twice counts as drifted."""
        return self._held_against(read.by_name, frozenset(read.ambiguous))

    def _held_against(self, tools: Mapping[str, ToolDefinition], ambiguous: frozenset[str]) -> Catalogue:
        if self._pins is None:
            return Catalogue(tools, ambiguous, ambiguous)
        pinned = self._pins.digests or {}
        drifted = {name for name, tool in tools.items() if pinned.get(name) != tool.digest}
        return Catalogue(tools, frozenset(drifted | ambiguous), ambiguous)


class Definitions:
    """The tools of one list while it is read. `ambiguous` names stand there in two versions."""

    __slots__ = ("ambiguous", "by_name")

    def __init__(self) -> None:
        self.by_name: dict[str, ToolDefinition] = {}
        self.ambiguous: set[str] = set()

    def add(self, page: ListPage) -> None:
        """Take in one page."""
        for name, raw, value in page.tools:
            tool = definition(name, raw, value)
            before = self.by_name.setdefault(name, tool)
            if before.digest != tool.digest:
                self.ambiguous.add(name)


class _Reading:
    """Reads all pages of one list."""

    __slots__ = ("_asking", "_definitions", "_owner", "_pages", "_size")

    def __init__(self, owner: Catalogues, asking: Asking) -> None:
        self._owner = owner
        self._asking = asking
        self._definitions = Definitions()
        self._pages = 0
        self._size = 0

    def next_page(self, cursor: str | None) -> None:
        self._pages += 1
        if self._pages > MAX_PAGES or len(self._definitions.by_name) > MAX_TOOLS:
            self._fail(f"the tool list has more than {MAX_PAGES} pages or {MAX_TOOLS} tools")
            return
        message_id, request = self._owner.request(self._asking, cursor)
        self._owner.send(self._asking.link, request, message_id, self._page)

    def _page(self, collected: Collected) -> None:
        if isinstance(collected, UpstreamFault):
            self._fail(collected.message, gone=isinstance(collected, SessionGone))
            return
        self._size += len(collected)
        if self._size > MAX_BYTES:
            self._fail(f"the pages of the tool list have over {MAX_BYTES} bytes together")
            return
        page = _read(collected)
        if isinstance(page, str):
            self._fail(page)
            return
        self._definitions.add(page)
        if page.next_cursor:
            self.next_page(page.next_cursor)
        else:
            self._owner.complete(self._asking.link, self._owner.catalogue(self._definitions))

    def _fail(self, reason: str, *, gone: bool = False) -> None:
        self._owner.settle(self._asking.link, NoCatalogue(f"tools/list: {reason}", gone))


def _read(body: bytes) -> ListPage | str:
    message = read_message(body, max_bytes=MAX_BYTES)
    if isinstance(message, Refusal):
        return f"the answer is not acceptable JSON-RPC: {message.message}"
    if isinstance(message, tuple):
        return "the answer is a batch"
    if "error" in message.envelope:
        return "the upstream answered with an error"
    return read_page(message)


def _digests(catalogue: Catalogue) -> dict[str, str]:
    return {name: tool.digest for name, tool in catalogue.definitions.items()}
