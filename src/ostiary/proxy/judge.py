"""What of an upstream's messages a client gets: answers filtered, questions decided."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import cast

from ostiary.calls.call import Era
from ostiary.errors import UpstreamFault
from ostiary.identity.grant import Grant
from ostiary.policy.compile import Compiled
from ostiary.policy.decide import filters_lists, visible
from ostiary.policy.methods import decide_method
from ostiary.policy.reach import passes_everything
from ostiary.proxy.catalogue import Link
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import Head, Header, UpstreamRequest
from ostiary.proxy.sessions import IdKey, Session, id_key
from ostiary.wire import answers
from ostiary.wire.envelope import read_message
from ostiary.wire.lists import filter_tools
from ostiary.wire.loose import read_answer
from ostiary.wire.message import Message, Refusal

log = logging.getLogger("ostiary.proxy")

MAX_ANSWER = 16 * 1024 * 1024

CHECKED = frozenset({"tools/list"})
"""Methods whose answers are filtered, and so must be read strictly."""

LIST_CHANGED = "notifications/tools/list_changed"
WITHHELD = "the gateway withheld an answer of the upstream that it could not check"


class Judge:
    """Judges the messages of one upstream stream on behalf of one client.

    `own` is the id of the request that the stream answers (None on a GET stream) and
    `own_method` its method.
    """

    __slots__ = ("_desk", "_era", "_grant", "_headers", "_link", "_own", "_own_method", "_session", "closed")

    def __init__(
        self,
        desk: Desk,
        grant: Grant,
        session: Session,
        era: Era,
        headers: tuple[Header, ...],
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
        if answer is not None and (readable or transparent(policy)):
            return self._response(answer, policy)
        if transparent(policy):
            return raw
        if answer is not None and answer.id is not None and id_key(answer.id) == self._own:
            self.closed = answers.error(answer.id, answers.INTERNAL, WITHHELD)
            return self.closed
        rule = refusal.rule if isinstance(refusal, Refusal) else "(batch)"
        log.warning("withheld a message of the upstream: %s", rule)
        return None

    def _method_of(self, answer: Message) -> str:
        """The method that an answer belongs to; `tools/list` when that is not known."""
        assert answer.id is not None  # noqa: S101 - `read_answer` only gives answers with an id
        key = id_key(answer.id)
        if key == self._own:
            return self._own_method
        run = self._session.runs.get(key)
        return run.call.message.method if run is not None else "tools/list"

    def _notification(self, message: Message, policy: Compiled | None) -> bytes | None:
        if message.method == LIST_CHANGED:
            self._desk.catalogues.invalidate(self._link)
        verdict = decide_method(policy, message.method, message.params, from_server=True)
        return message.raw if verdict.effect == "allow" or _monitor(policy) else None

    def _question(self, message: Message, policy: Compiled | None) -> bytes | None:
        """A request of the server: relayed and remembered, or answered by the gate (P6)."""
        assert message.id is not None  # noqa: S101 - a request has an id
        verdict = decide_method(policy, message.method, message.params, from_server=True)
        if verdict.effect == "allow" or _monitor(policy):
            self._session.ask(message.id, message.method)
            return message.raw
        self._desk.note("server-request-denied", message.method[:80], grant=self._grant.name)
        body = answers.error(message.id, answers.DENIED, verdict.message or "denied by policy")
        headers = [*self._headers, (b"content-type", b"application/json")]
        self._desk.upstream.send(UpstreamRequest("POST", headers, body, grant=self._grant.name), _Discard())
        return None

    def _response(self, message: Message, policy: Compiled | None) -> bytes | None:
        if message.id is None:
            return message.raw
        key = id_key(message.id)
        if self._own is not None and key == self._own:
            self.closed = self.answer(message, self._own_method, policy)
            return self.closed
        run = self._session.runs.get(key)
        if run is None:
            return message.raw if transparent(policy) else None
        return self.answer(message, run.call.message.method, policy)

    def answer(self, message: Message, method: str, policy: Compiled | None) -> bytes:
        """The answer to a request of `method`, filtered where the policy hides something."""
        if method == "tools/list":
            self._desk.catalogues.invalidate(self._link)
            if policy is None or (filters_lists(policy) and not policy.monitor) or self._desk.locked:
                return self._filtered(message, policy)
        elif self._era == "modern" and not transparent(policy):
            return self._inputs_checked(message, policy)
        return message.raw

    def answer_to_own(self, message: Message, method: str) -> bytes:
        """The answer to the request of this stream, by the policy in force now."""
        return self.answer(message, method, self._desk.policy)

    def _filtered(self, message: Message, policy: Compiled | None) -> bytes:
        catalogue = self._desk.catalogues.of_page(message)
        locked = self._desk.locked

        def keep(name: str) -> bool:
            return visible(policy, name, catalogue, locked=locked)

        return filter_tools(message, keep, modern=self._era == "modern")

    def _inputs_checked(self, message: Message, policy: Compiled | None) -> bytes:
        """Questions inside a modern result are judged like any request of the server (P6)."""
        result = message.envelope.get("result")
        if not isinstance(result, Mapping):
            return message.raw
        asked = cast("Mapping[str, object]", result).get("inputRequests")
        if not isinstance(asked, Mapping):
            return message.raw
        for question in cast("Mapping[str, object]", asked).values():
            if not self._question_allowed(question, policy):
                assert message.id is not None  # noqa: S101 - checked by the caller
                self._desk.note("server-request-denied", "inputRequests", grant=self._grant.name)
                return answers.error(message.id, answers.DENIED, "the server asked for something that policy denies")
        return message.raw

    def _question_allowed(self, question: object, policy: Compiled | None) -> bool:
        if not isinstance(question, Mapping):
            return False
        members = cast("Mapping[str, object]", question)
        method, params = members.get("method"), members.get("params", {})
        if not isinstance(method, str) or not isinstance(params, Mapping):
            return False
        verdict = decide_method(policy, method, cast("Mapping[str, object]", params), from_server=True)
        return verdict.effect == "allow"


def transparent(policy: Compiled | None) -> bool:
    """True when no answer has to be looked into: nothing is hidden and nothing is denied."""
    return policy is not None and passes_everything(policy)


def _monitor(policy: Compiled | None) -> bool:
    return policy is not None and policy.monitor


class _Discard:
    """A sink for answers that nobody needs."""

    def head(self, head: Head) -> None: ...
    def data(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def fault(self, fault: UpstreamFault) -> None: ...
