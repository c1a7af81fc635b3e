"""The book of handles: what a client's message may name, and what an upstream's answer teaches."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from ostiary.calls import outstanding as later
from ostiary.calls.call import Ended
from ostiary.calls.journal import Entry
from ostiary.policy.decision import Charge
from ostiary.proxy.handles.events import Events
from ostiary.proxy.handles.marks import Marks
from ostiary.proxy.handles.recall import Context, Recall
from ostiary.proxy.handles.shelf import Shelf
from ostiary.proxy.handles.states import States
from ostiary.proxy.handles.tasks import Task, Tasks
from ostiary.wire import tasks
from ostiary.wire.era import LEGACY_VERSIONS, body_version
from ostiary.wire.message import Message, Refusal, as_object
from ostiary.wire.mirror import subject
from ostiary.wire.strict import INVALID_PARAMS

UNKNOWN = "(unknown handle)"

MISSING_CAPABILITY = -32021

MAX_LISTED = 1_000
"""Entries of a tasks/list answer that are looked up; none after them is shown.

Each may be a read of the store on the event loop.
"""


class Book:
    """Everything that the gate knows of handles. `write` takes outcome rows that come later."""

    def __init__(
        self,
        *,
        key: bytes,
        server: str,
        shelf: Shelf,
        clock: Callable[[], int],
        write: Callable[[Entry], None],
    ) -> None:
        marks = Marks(key, server)
        self.events = Events(marks, shelf, clock)
        self.states = States(marks, shelf, clock)
        self.tasks = Tasks(marks, shelf, clock, write)
        self.recall = Recall(marks, shelf, clock)
        self._clock = clock
        self._write = write

    # What a client's message may name.

    def refusal(self, message: Message, grant: str) -> Refusal | None:
        """Why a message may not be forwarded: it names a handle that its grant was never given."""
        params = message.params
        if "requestState" in params:
            about, state = subject(message) or "", params["requestState"]
            if not isinstance(state, str) or not self.states.known(grant, message.method, about, state):
                return _unknown(message, "`requestState` was not given for this request")
        if "_meta" not in params and not message.method.startswith(_MAY_NAME):
            return None
        try:
            named = tasks.named(message)
        except ValueError as error:
            return _unknown(message, str(error))
        for name in named:
            if self.tasks.of(grant, name) is None:
                return _undeclared(message) or _unknown(message, "no such task")
        return None

    def names(self, message: Message, context: Context, grant: str) -> None:
        """Note in `context` which task its request names."""
        if message.method in tasks.NAMING:
            context.task = self.tasks.mark(grant, str(message.params["taskId"]))

    # What an answer teaches.

    def learn(self, message: Message, context: Context, grant: str) -> Task | None:
        """Take in an answer that its client will see; the task that the request became, if it did."""
        method = context.method
        if method in tasks.NAMING:
            self._task_seen(message, context, grant)
            return None
        if method == "tasks/list":
            for described in islice(tasks.listed(message), MAX_LISTED):
                self._state_seen(described, grant)
            return None
        result = as_object(message.envelope.get("result"))
        if result is None:
            return None
        state = result.get("requestState")
        if isinstance(state, str):
            self.states.issued(grant, method, context.about, state)
        if result.get("resultType") != "task" and not context.asked:
            return None
        return self._created(tasks.created(result), context, grant)

    def notified(self, message: Message, grant: str) -> Task | None:
        """Take in a notification about a task; the task, where it is one of `grant`."""
        described = tasks.state(message.params)
        return None if described is None else self._state_seen(described, grant)

    def owns(self, grant: str) -> Callable[[str], bool]:
        """What tells the tasks of `grant` from others, for the entries of one list."""
        looked = 0

        def own(task_id: str) -> bool:
            nonlocal looked
            looked += 1
            return looked <= MAX_LISTED and self.tasks.of(grant, task_id) is not None

        return own

    # Outcomes that come later.

    def entrust(self, context: Context, charges: tuple[Charge, ...]) -> None:
        """Take over what the call of `context` holds; its stream ended without an answer."""
        context.charges = charges
        if context.became is not None:
            self.tasks.entrust(context.became, charges)
            return
        if context.ended is not None:
            ended, context.ended = context.ended, None
            self._late(context, ended)

    def answered(self, context: Context, ended: Ended) -> None:
        """The answer came on another stream than the one it was asked on."""
        if context.answered:
            return
        context.answered = True
        if context.charges is None:  # the machine is not done with the first stream
            context.ended = ended
        else:
            self._late(context, ended)

    def became(self, context: Context, task: Task) -> None:
        """The answer came on another stream, and is a task."""
        context.answered = True
        if context.became is None and context.charges is not None:
            self.tasks.entrust(task, context.charges)
        context.became = task

    # Inside.

    def _late(self, context: Context, ended: Ended) -> None:
        if context.outstanding is not None:
            self._write(later.outcome(context.outstanding, ended, context.charges or ()))

    def _created(self, made: tasks.TaskState | None, context: Context, grant: str) -> Task | None:
        outstanding = context.outstanding
        if made is None or outstanding is None:
            return None
        task = self.tasks.created(grant, made.id, outstanding, context.policy, made.ttl_ms)
        task.way = None if context.way is None else context.way(made.id)
        if made.ending:
            self.tasks.seen(grant, task, Ended(made.ending, self._clock()))
        return task

    def _task_seen(self, message: Message, context: Context, grant: str) -> None:
        task = self.tasks.marked(grant, context.task)
        if task is None:
            return
        if context.method == "tasks/result":
            ending = tasks.result_ending(message)
            if ending:
                self.tasks.seen(grant, task, Ended(ending, self._clock(), bytes=len(message.raw)))
            return
        described = tasks.state(as_object(message.envelope.get("result")) or {})
        if described is not None and self.tasks.mark(grant, described.id) == context.task:
            self._state_seen(described, grant)

    def told(self, task: Task, described: tasks.TaskState) -> None:
        """The server has described `task` to the gate itself."""
        if described.ending and self.tasks.mark(task.outstanding.grant, described.id) == task.mark:
            self.tasks.seen(task.outstanding.grant, task, Ended(described.ending, self._clock()))

    def _state_seen(self, described: tasks.TaskState, grant: str) -> Task | None:
        task = self.tasks.of(grant, described.id)
        if task is not None and described.ending:
            self.tasks.seen(grant, task, Ended(described.ending, self._clock()))
        return task


_MAY_NAME = ("tasks/", "subscriptions/")


def _undeclared(message: Message) -> Refusal | None:
    """What a modern client hears first that asks for a task without having declared tasks (SEP-2663)."""
    is_modern = body_version(message) not in (None, *LEGACY_VERSIONS)
    if not is_modern or not message.method.startswith("tasks/") or tasks.declared(message):
        return None
    needed: dict[str, object] = {"requiredCapabilities": {"extensions": {tasks.EXTENSION: {}}}}
    text = f"the client did not declare `{tasks.EXTENSION}`"
    return Refusal(MISSING_CAPABILITY, 400, text, UNKNOWN, message.id, needed)


def _unknown(message: Message, text: str) -> Refusal:
    """As a server answers to a task that it does not have: HTTP has nothing to do with it."""
    if message.kind == "request":
        return Refusal(INVALID_PARAMS, 200, text, UNKNOWN, message.id)
    return Refusal(INVALID_PARAMS, 400, text, UNKNOWN)
