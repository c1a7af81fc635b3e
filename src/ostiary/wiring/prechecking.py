"""The composition root of `precheck`: what is known of one server, looked up, asked for and remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ostiary.errors import CallerFault, GatewayFault, UpstreamFault
from ostiary.policy.definition import ToolDefinition
from ostiary.proxy import pin_file
from ostiary.registry.lookalike import resembled
from ostiary.registry.shelf import known, recorded
from ostiary.registry.subject import Subject
from ostiary.registry.verdict import Case, Source, Verdict, verdict
from ostiary.scan.known import Known, best, case_of, day, of_record, of_seen, of_tools
from ostiary.scan.scanned import Target
from ostiary.store.clock import BootClock
from ostiary.store.prechecks import BrokenMemory, Memory, Seen, read_memory, remember, set_aside, turn
from ostiary.store.state import StateDir

_KEPT: Final[Mapping[Source, Source]] = {"connected": "connected", "record": "record", "pins": "pins"}
"""Looks that are remembered. What was seen earlier keeps its own day."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What a server may reach while it is asked, as `ostiary.wiring.scanning.scan_all` takes it."""

    hosts: tuple[str, ...] = ()
    all_hosts: bool = False
    unsafe_no_isolation: bool = False
    seconds: float = 60


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One server to look up. `pins` are the names that its pins may have; `target` is asked if it is set."""

    subject: Subject
    pins: tuple[str, ...] = ()
    target: Target | None = None
    reach: Reach = msgspec.field(default_factory=Reach)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `notes` are for the person and no part of the verdict."""

    subject: Subject
    known: Known
    case: Case
    verdict: Verdict
    notes: tuple[str, ...] = ()


def precheck(
    question: Question, state: StateDir, environ: Mapping[str, str], tell: Callable[[str], None]
) -> Answer:
    """Look the server up, ask it where that is wanted, judge, and remember what was seen.

    Raises OstiaryError where one of the sources cannot be relied on or the server does not answer:
    then there is no verdict, and nothing is remembered.
    """
    subject = question.subject
    found = recorded(subject)
    record = of_record(found, anew=True) if found is not None else None
    pins = _pinned(question.pins, state)
    asked = _asked(question, environ, tell) if question.target is not None else None
    with turn(state):
        memory, notes = _memory(state)
        seen = of_seen(memory.entries.get(subject.key))
        chosen = asked or best(subject, seen, record, pins)
        near = resembled(subject, known()) if found is None else None
        case = case_of(subject, chosen, _before(subject, chosen, seen, record, pins), near=near)
        result = verdict(case)
        kept = _KEPT.get(chosen.source)
        if kept is not None:
            remember(state, memory, subject.key, _seen(chosen, kept, result))
    return Answer(subject=subject, known=chosen, case=case, verdict=result, notes=notes)


def _before(
    subject: Subject, chosen: Known, seen: Known | None, record: Known | None, pins: Known | None
) -> Known | None:
    """What to compare with: the last look, else the pins, else the record of the same version."""
    if seen is not None and seen is not chosen:
        return seen
    if pins is not None and pins is not chosen:
        return pins
    same = record is not None and record is not chosen and subject.version == record.version
    return record if same and record is not None and record.source == "record" else None


def _seen(chosen: Known, source: Source, result: Verdict) -> Seen:
    return Seen(
        at=BootClock().now(),
        version=chosen.version,
        source=source,
        action=result.action,
        tools=chosen.tools,
        ambiguous=chosen.ambiguous,
        whole=chosen.whole,
    )


def _memory(state: StateDir) -> tuple[Memory, tuple[str, ...]]:
    """What is remembered. A file that cannot be read is moved aside, and that is told."""
    try:
        return read_memory(state.path), ()
    except BrokenMemory as broken:
        if not broken.movable:
            raise
        kept = set_aside(state)
        note = f"{broken.message}; it is now `{kept}`, and nothing earlier is remembered"
        return Memory(), (note,)


def _pinned(names: tuple[str, ...], state: StateDir) -> Known | None:
    """The tools that a person pinned under the first of these names that has pins."""
    for name in names:
        found = pin_file.read(pin_file.pin_path(state, name))
        if found is None:
            continue
        tools = [
            ToolDefinition(tool, one.digest, None, one.definition)
            for tool, one in found.tools.items()
            if one.definition
        ]
        whole = len(tools) == len(found.tools)
        if not whole:
            raise CallerFault(
                f"the pins of `{name}` hold digests without definitions, which say nothing of its tools",
                hint="`ostiary pins write -f` writes them anew",
            )
        return Known(source="pins", at=found.written[:10], tools=of_tools(tools, name))
    return None


def _asked(question: Question, environ: Mapping[str, str], tell: Callable[[str], None]) -> Known:
    """The tools as the server has them now. Raises UpstreamFault where it does not say."""
    from ostiary.wiring.scanning import scan_all

    if question.target is None:
        raise GatewayFault("nothing to ask")
    reach = question.reach
    (scanned,) = scan_all(
        (question.target,),
        environ,
        on_progress=tell,
        hosts=reach.hosts,
        all_hosts=reach.all_hosts,
        unsafe_no_isolation=reach.unsafe_no_isolation,
        seconds=reach.seconds,
    )
    if scanned.found is None:
        raise UpstreamFault(
            f"the server could not be asked: {scanned.fault}", written=True, hint=scanned.hint or None
        )
    return Known(
        source="connected",
        version=question.subject.version,
        at=day(BootClock().now()),
        tools=of_tools(scanned.found.tools, question.target.name),
        ambiguous=scanned.found.ambiguous,
    )
