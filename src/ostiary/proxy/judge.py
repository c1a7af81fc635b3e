"""What of an upstream's messages a client gets: answers filtered, questions decided."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ostiary.calls.call import Era
from ostiary.errors import UpstreamFault
from ostiary.identity.grant import Grant
from ostiary.policy.compile import Compiled
from ostiary.policy.decide import filters_lists, visible
from ostiary.policy.methods import decide_method, filters_items, item_visible
from ostiary.policy.reach import passes_everything
from ostiary.proxy.catalogue import Link
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import Flow, Head, Header, UpstreamRequest
from ostiary.proxy.headers import for_own_request
from ostiary.proxy.sessions import MAX_REPLIES, Session
from ostiary.wire import answers
from ostiary.wire.envelope import read_message
from ostiary.wire.ids import IdKey, id_key
from ostiary.wire.lists import filter_list, filter_tools
from ostiary.wire.loose import read_answer
from ostiary.wire.message import Message, Refusal, as_object
from ostiary.wire.strict import fold

log = logging.getLogger("ostiary.proxy")

MAX_ANSWER = 16 * 1024 * 1024

_ITEMS: Mapping[str, tuple[Literal["resources", "prompts"], str, str]] = {
    "resources/list": ("resources", "resources", "uri"),
    "resources/templates/list": ("resources", "resourceTemplates", "uriTemplate"),
    "prompts/list": ("prompts", "prompts", "name"),
}
"""Listing methods apart from tools/list: the rules, the member of the result, what tells entries apart."""

CHECKED = frozenset({"tools/list", *_ITEMS})
"""Methods whose answers are filtered, and so must be read strictly."""

LIST_CHANGED = "notifications/tools/list_changed"
WITHHELD = "the gateway withheld an answer of the upstream that it could not check"

ASKED = "inputRequests"
URL_ELICITATION = -32042
"""The error by which a server asks for a URL elicitation (MCP 2025-11-25)."""

_ASKED_FOLDED = fold(ASKED)


class Judge:
    """Judges the messages of one upstream stream on behalf of one client.

    `own` is the id of the request that the stream answers (None on a GET stream) and
    `own_method` its method. `headers` are those forwarded with the request. `withheld` counts
    what could not be told or read and was not passed on.
    """

    __slots__ = (
        "_desk",
        "_era",
        "_grant",
        "_headers",
        "_link",
        "_own",
        "_own_method",
        "_session",
        "closed",
        "withheld",
    )

    def __init__(
        self,
        desk: Desk,
        grant: Grant,
        session: Session,
        era: Era,
        headers: Sequence[Header],
        own: IdKey | None = None,
        own_method: str = "",
    ) -> None:
        self._desk = desk
        self._grant = grant
        self._session = session
        self._era: Era = era
        self._headers = headers
        self._own = own
        self._own_method = own_method
        self._link: Link = (grant.name, session.name)
        self.closed: bytes | None = None
        self.withheld = 0

    @property
    def open(self) -> bool:
        """True when no answer has to be looked into: nothing is hidden and nothing is denied."""
        policy = self._desk.policy
        return policy is not None and passes_everything(policy) and (policy.monitor or not self._desk.locked)

    @property
    def lists(self) -> bool:
        """Whether the answer is a listing: read as a whole, since the policy may change meanwhile."""
        return self._own_method in CHECKED

    def quick(self, message_id: object) -> bool:
        """Whether a plain result with this id can pass unread: it answers this request, and nothing else."""
        return self._era == "legacy" and not self.lists and (type(message_id), message_id) == self._own

    def message(self, raw: bytes) -> bytes | None:
        """The bytes to pass on for one upstream message: the same, edited, or None for none.

        Sets `closed` to the passed bytes when the message was the answer to `own`.
        """
        policy = self._desk.policy
        message = read_message(raw, max_bytes=MAX_ANSWER, null_id=True)
        if not isinstance(message, Message):
            return self._unreadable(raw, message, policy)
        if message.kind == "notification":
            return self._notification(message, policy)
        if message.kind == "request":
            return self._question(message, policy)
        return self._response(message, policy)

    def _unreadable(
        self, raw: bytes, refusal: Refusal | tuple[Message, ...], policy: Compiled | None
    ) -> bytes | None:
        """Pass what cannot be read strictly only where nothing could be hidden in it."""
        answer = read_answer(raw)
        readable = self._era == "legacy" and answer is not None and self._method_of(answer) not in CHECKED
        if answer is not None and (readable or self.open):
            return self._response(answer, policy)
        if self.open:
            return raw
        rule = refusal.rule if isinstance(refusal, Refusal) else "(batch)"
        self._withhold(rule)
        if answer is not None and answer.id is not None and id_key(answer.id) == self._own:
            self.closed = answers.error(answer.id, answers.INTERNAL, WITHHELD)
            return self.closed
        return None

    def _withhold(self, rule: str) -> None:
        """Say so once for each stream: an upstream must not be able to fill the log."""
        self.withheld += 1
        if self.withheld == 1:
            log.warning("withheld a message of the upstream: %s", rule)

    def _method_of(self, answer: Message) -> str:
        """The method that an answer belongs to; `tools/list` when that is not known."""
        assert answer.id is not None  # noqa: S101 - `read_answer` only gives answers with an id
        if id_key(answer.id) == self._own:
            return self._own_method
        return self._session.method_of(answer.id) or "tools/list"

    def _notification(self, message: Message, policy: Compiled | None) -> bytes | None:
        if message.method == LIST_CHANGED:
            self._desk.catalogues.invalidate(self._link)
        if self.open or _monitor(policy):
            return message.raw
        verdict = decide_method(policy, message.method, message.params, from_server=True)
        if verdict.effect != "allow":
            return None
        if message.method.startswith("notifications/tasks") and self._asks_too_much(message.params, policy):
            return None
        return message.raw

    def _question(self, message: Message, policy: Compiled | None) -> bytes | None:
        """A request of the server: relayed and remembered, or answered by the gate (P6)."""
        assert message.id is not None  # noqa: S101 - a request has an id
        verdict = decide_method(policy, message.method, message.params, from_server=True)
        if verdict.effect == "allow" or _monitor(policy):
            self._session.ask(message.id, message.method)
            return message.raw
        if self._session.replies < MAX_REPLIES:
            self._desk.note("server-request-denied", message.method[:80], grant=self._grant.name)
            self._reply(answers.error(message.id, answers.DENIED, verdict.message or "denied by policy"))
        return None

    def _reply(self, body: bytes) -> None:
        """Answer the server ourselves, so that its tool does not hang."""
        desk, discard = self._desk, _Discard(self._session)
        headers = for_own_request(self._headers, desk.own_headers)
        request = UpstreamRequest("POST", headers, body, grant=self._grant.name)
        discard.flow = desk.upstream.send(request, discard)

    def _response(self, message: Message, policy: Compiled | None) -> bytes | None:
        if message.id is None:
            return message.raw
        if self._own is not None and id_key(message.id) == self._own:
            self.closed = self.answer(message, self._own_method, policy)
            return self.closed
        method = self._session.method_of(message.id)
        if method is not None:
            return self.answer(message, method, policy)
        if self.open:
            return message.raw
        self._withhold("(unasked answer)")
        return None

    def answer(self, message: Message, method: str, policy: Compiled | None) -> bytes:
        """The answer to a request of `method`, filtered where the policy hides something."""
        modern = self._era == "modern"
        if method == "tools/list":
            return self._tools(message, policy)
        if self.open:
            return message.raw
        if "error" in message.envelope:
            return self._error_checked(message, policy)
        items = _ITEMS.get(method)
        if items is None:
            return self._inputs_checked(message, policy) if modern else message.raw
        kind, member, by = items
        if not filters_items(policy, kind):
            return message.raw
        return filter_list(
            message, lambda key: item_visible(policy, kind, key), key=member, modern=modern, by=by
        )

    def _tools(self, message: Message, policy: Compiled | None) -> bytes:
        """A page of tools. What the client saw is what it will call, so our own list must agree."""
        locked = self._desk.locked
        if not filters_lists(policy, locked=locked):
            self._desk.catalogues.invalidate(self._link)
            return message.raw
        page = self._desk.catalogues.of_page(message)
        self._desk.catalogues.listed(self._link, page)

        def keep(name: str) -> bool:
            return visible(policy, name, page, locked=locked)

        return filter_tools(message, keep, modern=self._era == "modern")

    def _error_checked(self, message: Message, policy: Compiled | None) -> bytes:
        """An error may ask the client to open a URL: that is an elicitation too (P6)."""
        error = as_object(message.envelope["error"])
        if error is not None and error.get("code") != URL_ELICITATION:
            return message.raw
        if decide_method(policy, "elicitation/create", {}, from_server=True).effect == "allow":
            return message.raw
        return self._denied(message, "elicitation/create")

    def _inputs_checked(self, message: Message, policy: Compiled | None) -> bytes:
        """Questions inside a modern result are judged like any request of the server (P6)."""
        result = as_object(message.envelope.get("result"))
        if result is None or not self._asks_too_much(result, policy):
            return message.raw
        return self._denied(message, ASKED)

    def _denied(self, message: Message, what: str) -> bytes:
        self._desk.note("server-request-denied", what, grant=self._grant.name)
        text = "the server asked for something that policy denies"
        return answers.error(message.id, answers.DENIED, text)

    def _asks_too_much(self, members: Mapping[str, object], policy: Compiled | None) -> bool:
        """Whether a question that stands in a result, or in the task in it, is denied or unclear."""
        for asked in _asked_in(members):
            questions = as_object(asked)
            if questions is None:
                return True
            if not all(self._question_allowed(question, policy) for question in questions.values()):
                return True
        return False

    def _question_allowed(self, question: object, policy: Compiled | None) -> bool:
        members = as_object(question) or {}
        method, params = members.get("method"), as_object(members.get("params", {}))
        if not isinstance(method, str) or params is None:
            return False
        return decide_method(policy, method, params, from_server=True).effect == "allow"


def _asked_in(members: Mapping[str, object]) -> Iterator[object]:
    """What stands under `inputRequests`; a name that only folds to it counts as unreadable."""
    for place in (members, as_object(members.get("task")), as_object(members.get("result"))):
        for key, value in (place or {}).items():
            if key == ASKED:
                yield value
            elif fold(key) == _ASKED_FOLDED:
                yield None


def _monitor(policy: Compiled | None) -> bool:
    return policy is not None and policy.monitor


class _Discard:
    """A sink for answers that nobody needs. Holds one of the session's places for replies."""

    __slots__ = ("_over", "_session", "flow")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._over = False
        self.flow: Flow | None = None
        session.replies += 1

    def head(self, head: Head) -> None:
        if head.length != 0:
            self._cancel()

    def data(self, data: bytes) -> None:
        self._cancel()

    def end(self) -> None:
        self._leave()

    def fault(self, fault: UpstreamFault) -> None:
        self._leave()

    def _cancel(self) -> None:
        if self.flow is not None:
            self.flow.cancel()
        self._leave()

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self._session.replies -= 1
