from __future__ import annotations

import weakref
from collections.abc import Callable

from ostiary.calls.call import Await, Call, Consulted, Emptied, Ended, Outcome, Refused, Relayed, Waited
from ostiary.calls.driver import INTERNAL, Run
from ostiary.calls.journal import Committed, Entry, Reply
from ostiary.policy.decision import Charge
from tests.calls.test_machine import CATALOGUE, LISTED, call, compiled, tool_call


class Scripted:
    """Effects that answer at once, and fail where told to."""

    def __init__(self, *, fail_at: str = "") -> None:
        self.fail_at = fail_at
        self.log: list[str] = []
        self.outcome: Outcome | None = None
        self.held: Callable[[Consulted], None] | None = None
        self.run: Run | None = None

    def _step(self, name: str) -> None:
        self.log.append(name)
        if name == self.fail_at:
            raise RuntimeError("broken on purpose")

    def consult(self, call: Call, done: Callable[[Consulted], None]) -> None:
        self._step("consult")
        if self.fail_at == "wait":
            self.held = done
            return
        done(CATALOGUE)

    def write(self, entry: Entry, done: Callable[[Reply], None]) -> None:
        self._step(f"write {entry.record.kind}")
        done(Committed())

    def hold(self, call: Call, command: Await, done: Callable[[Waited], None]) -> None:
        self._step("hold")
        done(Waited(call, "late"))

    def let_go(self) -> None:
        self.log.append("let go")

    def forward(self, call: Call, done: Callable[[Ended], None]) -> None:
        self._step("forward")
        done(Ended("ok", at=2))

    def entrust(self, call: Call, charges: tuple[Charge, ...]) -> None:
        self._step("entrust")

    def finish(self, call: Call, outcome: Outcome) -> None:
        self.log.append("finish")
        self.outcome = outcome


def test_the_driver_performs_the_commands_in_order() -> None:
    effects = Scripted()

    Run(call(tool_call(), compiled(LISTED)), effects).start()

    assert effects.log == ["consult", "write intent", "forward", "write outcome", "finish"]
    assert effects.outcome == Relayed()


def test_a_fault_before_forwarding_ends_the_call_unforwarded() -> None:
    for step in ("consult", "write intent"):
        effects = Scripted(fail_at=step)

        Run(call(tool_call(), compiled(LISTED)), effects).start()

        assert "forward" not in effects.log
        assert effects.log[-1] == "finish"
        assert isinstance(effects.outcome, Refused)


def test_a_fault_after_forwarding_does_not_claim_that_nothing_was_forwarded() -> None:
    effects = Scripted(fail_at="write outcome")

    Run(call(tool_call(), compiled(LISTED)), effects).start()

    assert effects.outcome == Relayed()


def test_a_call_withdrawn_while_it_waits_is_never_forwarded() -> None:
    effects = Scripted(fail_at="wait")
    run = Run(call(tool_call(), compiled(LISTED)), effects)
    run.start()

    withdrawn = run.withdraw()
    assert effects.held is not None
    effects.held(CATALOGUE)

    assert withdrawn
    assert "forward" not in effects.log
    assert effects.log == ["consult", "let go", "write intent", "write outcome", "finish"]


def test_a_forwarded_call_can_no_longer_be_withdrawn() -> None:
    effects = Scripted()
    run = Run(call(tool_call(), compiled(LISTED)), effects)

    run.start()

    assert run.withdraw() is False
    assert not isinstance(effects.outcome, Emptied)


def test_a_run_that_is_over_lets_go_of_its_effects() -> None:
    effects = Scripted()
    run = Run(call(tool_call(), compiled(LISTED)), effects)
    effects.run = run  # as a turn does: without letting go, both would wait for the collector
    run.start()
    alive = weakref.ref(effects)

    del effects

    assert alive() is None


def test_a_stop_iteration_of_an_effect_is_a_fault_and_not_the_end_of_the_machine() -> None:
    class Stopping(Scripted):
        def write(self, entry: Entry, done: Callable[[Reply], None]) -> None:
            self.log.append("write")
            next(iter(()))

    effects = Stopping()

    Run(call(tool_call(), compiled(LISTED)), effects).start()

    assert "forward" not in effects.log
    assert isinstance(effects.outcome, Refused)


def test_a_reply_that_comes_after_a_fault_moves_nothing_on() -> None:
    """There is no path from an exception to forward, and a call is finished once."""

    class Late(Scripted):
        def consult(self, call: Call, done: Callable[[Consulted], None]) -> None:
            self.held = done
            super().consult(call, done)

    effects = Late(fail_at="consult")
    Run(call(tool_call(), compiled(LISTED)), effects).start()
    assert effects.held is not None

    effects.held(CATALOGUE)

    assert effects.log == ["consult", "finish"]
    assert effects.outcome == INTERNAL


def test_a_call_is_over_before_its_outcome_is_written_if_nothing_waits_for_that() -> None:
    effects = Scripted()
    waiting: list[Callable[[Reply], None]] = []
    at_once = effects.write

    def write(entry: Entry, done: Callable[[Reply], None]) -> None:
        if entry.late:
            at_once(entry, lambda _reply: waiting.append(done))
        else:
            at_once(entry, done)

    vars(effects)["write"] = write

    Run(call(tool_call(), compiled(LISTED)), effects).start()

    assert effects.log == ["consult", "write intent", "forward", "write outcome", "finish"]
    assert len(waiting) == 1
