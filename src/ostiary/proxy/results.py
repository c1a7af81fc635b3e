"""The answer to one request, as its client gets it: filtered, its questions judged, its cache short."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from ostiary.calls.call import Era
from ostiary.policy.compile import Compiled
from ostiary.policy.decide import filters_lists, visible
from ostiary.policy.methods import decide_method, filters_items, item_visible
from ostiary.policy.reach import passes_everything
from ostiary.proxy.catalogue import Link
from ostiary.proxy.desk import Desk
from ostiary.proxy.handles.recall import Context
from ostiary.proxy.handles.tasks import Task
from ostiary.wire import answers
from ostiary.wire.lists import filter_list, filter_tools, make_private
from ostiary.wire.message import Message, as_object
from ostiary.wire.strict import fold
from ostiary.wire.tasks import NAMING

_ITEMS: Mapping[str, tuple[Literal["resources", "prompts"], str, str]] = {
    "resources/list": ("resources", "resources", "uri"),
    "resources/templates/list": ("resources", "resourceTemplates", "uriTemplate"),
    "prompts/list": ("prompts", "prompts", "name"),
}
"""Listing methods of one policy section: the rules, the member of the result, what tells entries apart."""

TASKS = "tasks/list"

CHECKED = frozenset({"tools/list", TASKS, *_ITEMS})
"""Methods whose answers are filtered, and so must be read strictly."""

READ = CHECKED | NAMING | {"initialize"}
"""Methods whose answers the gate must have seen whole."""

_CACHEABLE = frozenset({"tools/list", "resources/read", "server/discover", *_ITEMS})

ASKED = "inputRequests"
URL_ELICITATION = -32042
"""The error by which a server asks for a URL elicitation (MCP 2025-11-25)."""

_ASKED_FOLDED = fold(ASKED)


class Results:
    """Judges answers on behalf of one client. `task` is what the last one became, if it became one.

    `drifted` says that a tool was kept back that is not as it was pinned.
    """

    __slots__ = ("_desk", "_grant", "_link", "_modern", "drifted", "task")

    def __init__(self, desk: Desk, link: Link, era: Era) -> None:
        self._desk = desk
        self._grant = link[0]
        self._link = link
        self._modern = era == "modern"
        self.task: Task | None = None
        self.drifted = False

    def judged(
        self, message: Message, context: Context, policy: Compiled | None, *, unguarded: bool
    ) -> bytes:
        """The bytes of the answer to the request of `context`; a gateway error where it may not pass.

        What it teaches of handles is learnt only from what passes.
        """
        method = context.method
        if method == "tools/list":
            return self._tools(message, policy)
        refused = self._refused(message, context, policy, unguarded=unguarded)
        if refused is not None:
            return refused
        self.task = self._desk.book.learn(message, context, self._grant)
        if method == TASKS:
            own = self._desk.book.owns(self._grant)
            return filter_list(message, own, key="tasks", modern=False, by="taskId")
        if unguarded or "error" in message.envelope:
            return message.raw
        items = _ITEMS.get(method)
        if items is None or not filters_items(policy, items[0]):
            return self._private(message, method)
        kind, member, by = items
        return self._listed(message, lambda key: item_visible(policy, kind, key), member, by)

    def _tools(self, message: Message, policy: Compiled | None) -> bytes:
        """A page of tools. What the client saw is what it will call, so our own list must agree."""
        locked = self._desk.locked
        if not filters_lists(policy, locked=locked):
            self._desk.catalogues.invalidate(self._link)
            guarded = policy is None or not passes_everything(policy)
            return self._private(message, "tools/list") if guarded else message.raw
        page = self._desk.catalogues.of_page(message)
        self._desk.catalogues.listed(self._link, page)
        self.drifted = bool(page.drifted)

        def keep(name: str) -> bool:
            return visible(policy, name, page, locked=locked)

        return filter_tools(message, keep, modern=self._modern)

    def _listed(self, message: Message, keep: Callable[[str], bool], member: str, by: str) -> bytes:
        return filter_list(message, keep, key=member, modern=self._modern, by=by)

    def _private(self, message: Message, method: str) -> bytes:
        """Where policy can hide or deny anything, nothing of this server is kept for others, or long."""
        if not self._modern or method not in _CACHEABLE or "result" not in message.envelope:
            return message.raw
        result = as_object(message.envelope["result"])
        if result is not None and result.get("resultType", "complete") != "complete":
            return message.raw
        return make_private(message, modern=True)

    def _refused(
        self, message: Message, context: Context, policy: Compiled | None, *, unguarded: bool
    ) -> bytes | None:
        """The error that stands for an answer which asks the client for more than it may.

        A task is judged by the policy that it was made under and by the one in force.
        """
        if "error" in message.envelope:
            return None if unguarded else self._error_refused(message, policy)
        if not self._modern:
            return None  # questions are requests of their own there
        result = as_object(message.envelope.get("result"))
        if result is None:
            return None
        task = self._desk.book.tasks.marked(self._grant, context.task) if context.task else None
        creator = None if task is None else task.policy
        strict = creator is not None and creator is not policy and not passes_everything(creator)
        if strict and asks_too_much(creator, result):
            return self._denied(message, ASKED)
        return self._denied(message, ASKED) if not unguarded and asks_too_much(policy, result) else None

    def _error_refused(self, message: Message, policy: Compiled | None) -> bytes | None:
        """An error may ask the client to open a URL: that is an elicitation too (P6)."""
        error = as_object(message.envelope["error"])
        if error is not None and error.get("code") != URL_ELICITATION:
            return None
        if decide_method(policy, "elicitation/create", {}, from_server=True).effect == "allow":
            return None
        return self._denied(message, "elicitation/create")

    def unasked_error(self, message: Message, policy: Compiled | None) -> bytes:
        """An error that names no request: a client may take it for the answer to its own."""
        return self._error_refused(message, policy) or message.raw

    def _denied(self, message: Message, what: str) -> bytes:
        self._desk.note("server-request-denied", what, grant=self._grant)
        text = "the server asked for something that policy denies"
        return answers.error(message.id, answers.DENIED, text)


def asks_too_much(policy: Compiled | None, members: Mapping[str, object]) -> bool:
    """Whether a question that stands in a result, or in the task in it, is denied or unclear (P6)."""
    for asked in _asked_in(members):
        questions = as_object(asked)
        if questions is None:
            return True
        if not all(_question_allowed(question, policy) for question in questions.values()):
            return True
    return False


def _question_allowed(question: object, policy: Compiled | None) -> bool:
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
