"""Tasks of upstreams: whose they are, by which policy they were made, and how they end.

The call that made a task has its outcome when the task is over, or `unknown` when its time is.
Until it is seen to be over it holds its slots: its time may end before it does, and is chosen by
whoever asks for it (P4.4). A task keeps its place here for as long as its server keeps it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from ostiary.calls import outstanding as later
from ostiary.calls.call import Ended
from ostiary.calls.journal import Entry
from ostiary.calls.outstanding import Outstanding
from ostiary.policy.compile import Compiled
from ostiary.policy.decision import Charge
from ostiary.proxy.cancelling import Way
from ostiary.proxy.handles.events import DAY
from ostiary.proxy.handles.marks import Marks, as_bytes
from ostiary.proxy.handles.shelf import Shelf
from ostiary.wire.tasks import MAX_TTL_MS

MAX_LIVE = 256
"""Tasks of one grant that may go on at one time; of more, the oldest is no longer followed."""

MAX_IN_MEMORY = 4_096
MAX_FOLLOWED_S = 24 * 3600.0
"""Seconds after which a task without an end has the outcome `unknown`, whatever its server says."""

EXPIRED = "the time of the task ended before the task did"
TOO_MANY = "too many tasks at one time to follow this one"
STOPPED = "the gate stopped before the task ended"


class _Saved(msgspec.Struct, array_like=True):
    """What the shelf keeps of a task. `settled`: its outcome is on record."""

    outstanding: Outstanding
    until: int
    settled: bool = False


class Task:
    """One task. `policy` is its creator's, None after a restart or where there was none.

    `charges` is what the call still holds, None until the machine has handed it over; `ended`
    is an end that was seen before that. `way` is how its server can be asked to cancel it, None
    after a restart: the id of a task is not kept.
    """

    __slots__ = ("charges", "ended", "mark", "outstanding", "policy", "settled", "timer", "until", "way")

    def __init__(self, mark: bytes, outstanding: Outstanding, until: int) -> None:
        self.mark = mark
        self.outstanding = outstanding
        self.until = until
        self.policy: Compiled | None = None
        self.settled = False
        self.charges: tuple[Charge, ...] | None = None
        self.ended: Ended | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.way: Way | None = None


class Tasks:
    """All tasks of all grants. `write` takes the outcome rows."""

    def __init__(
        self, marks: Marks, shelf: Shelf, clock: Callable[[], int], write: Callable[[Entry], None]
    ) -> None:
        self._marks = marks
        self._shelf = shelf
        self._clock = clock
        self._write = write
        self._live: dict[str, OrderedDict[bytes, Task]] = {}
        self._over: OrderedDict[bytes, Task] = OrderedDict()

    def created(
        self,
        grant: str,
        task_id: str,
        outstanding: Outstanding,
        policy: Compiled | None,
        ttl_ms: int | None,
    ) -> Task:
        """A call became a task. What it holds is handed over with `entrust`."""
        mark = self.mark(grant, task_id)
        known = self.marked(grant, mark)
        if known is not None and known.outstanding.id == outstanding.id:
            return known  # the answer was replayed
        now = self._clock()
        kept_ms = MAX_TTL_MS if ttl_ms is None else ttl_ms
        task = Task(mark, outstanding, now + kept_ms * 1_000)
        task.policy = policy
        live = self._live.setdefault(grant, OrderedDict())
        former = live.pop(task.mark, None)
        if former is not None:  # an id that was given twice stands for the newer task
            if former.timer is not None:
                former.timer.cancel()
            self._settle(former, Ended("unknown", now, note=EXPIRED))
        live[task.mark] = task
        self._over.pop(task.mark, None)
        self._keep(task)
        self._shelf.hurry()  # its client may ask for it as soon as it has the answer
        seconds = min(kept_ms / 1_000, MAX_FOLLOWED_S)
        task.timer = asyncio.get_running_loop().call_later(seconds, self._expire, grant, task)
        if len(live) > MAX_LIVE:
            self._end(grant, next(iter(live.values())), Ended("unknown", now, note=TOO_MANY))
        return task

    def entrust(self, task: Task, charges: tuple[Charge, ...]) -> None:
        """Take over what the call of `task` holds. What was taken over before stays."""
        if task.charges is None:
            task.charges = charges
        if task.ended is not None:
            self._settle(task, task.ended)

    def of(self, grant: str, task_id: str) -> Task | None:
        """The task that `grant` knows by this id; None for nobody's and somebody else's."""
        return self.marked(grant, self.mark(grant, task_id))

    def marked(self, grant: str, mark: bytes) -> Task | None:
        """The same, by the mark of the id."""
        live = self._live.get(grant)
        found = None if live is None else live.get(mark)
        return found or self._over.get(mark) or self._recalled(mark)

    def following(self, grant: str) -> int:
        """How many tasks of `grant` go on, as far as is known."""
        return len(self._live.get(grant, ()))

    def seen(self, grant: str, task: Task, ended: Ended) -> None:
        """The task is over, as the upstream says."""
        self._end(grant, task, ended)

    def live(self, covered: Callable[[str], bool]) -> list[Task]:
        """The tasks that go on, of grants that are `covered`."""
        return [task for grant, live in self._live.items() if covered(grant) for task in live.values()]

    def unheard(self, task: Task, note: str) -> None:
        """Nobody hears of the task any more; a later outcome may still be added."""
        if not task.settled:
            ended = Ended("unknown", self._clock(), note=note)
            self._end(task.outstanding.grant, task, ended, settled=False)

    def close(self) -> None:
        """The gate stops: nobody will see how these end."""
        for grant, live in list(self._live.items()):
            for task in list(live.values()):
                self._end(grant, task, Ended("unknown", self._clock(), note=STOPPED), settled=False)

    def mark(self, grant: str, task_id: str) -> bytes:
        """What stands for the id."""
        return self._marks("task", grant, as_bytes(task_id))

    def _recalled(self, mark: bytes) -> Task | None:
        saved = self._saved(mark)
        if saved is None:
            return None
        task = Task(mark, saved.outstanding, saved.until)
        task.settled = saved.settled
        task.charges = ()
        self._remember(task)
        return task

    def _remember(self, task: Task) -> None:
        self._over[task.mark] = task
        if len(self._over) > MAX_IN_MEMORY:
            self._over.popitem(last=False)

    def _expire(self, grant: str, task: Task) -> None:
        """Its time is over. Another process on the shelf may have seen the end."""
        saved = self._saved(task.mark)
        task.settled = task.settled or (saved is not None and saved.settled)
        self._end(grant, task, Ended("unknown", self._clock(), note=EXPIRED), settled=False)

    def _saved(self, mark: bytes) -> _Saved | None:
        body = self._shelf.get(mark)
        try:
            return None if body is None else _decode(body)
        except msgspec.MsgspecError:  # of another version
            return None

    def _end(self, grant: str, task: Task, ended: Ended, *, settled: bool = True) -> None:
        """Write the outcome. `settled` False: a later one may still be added to it."""
        live = self._live.get(grant)
        if live is not None and live.pop(task.mark, None) is not None and not live:
            del self._live[grant]
        if task.timer is not None:
            task.timer.cancel()
            task.timer = None
        if task.settled or task.ended is not None:
            return
        self._remember(task)
        if task.charges is None:  # the machine has not come to that yet
            task.ended = ended
            return
        self._settle(task, ended, settled=settled)

    def _settle(self, task: Task, ended: Ended, *, settled: bool = True) -> None:
        task.ended = None
        task.settled = settled
        self._write(later.outcome(task.outstanding, ended, task.charges or ()))
        if settled:
            self._keep(task)

    def _keep(self, task: Task) -> None:
        now, owner = self._clock(), self._marks.owner(task.outstanding.grant)
        saved = _encode(_Saved(task.outstanding, task.until, task.settled))
        self._shelf.put(task.mark, "task", owner, now, max(task.until, now + DAY), saved)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Saved).decode
