"""Takes jobs from the socket and answers them, until the host closes it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import socket
import sys
from typing import Any, NoReturn

from ostiary.sandbox.cpython.inside import files, frames, show, tools
from ostiary.sandbox.cpython.inside.evaluate import Interpreter, Outcome

_OURS = "ostiary"


def serve(channel: socket.socket, wanted: dict[str, Any]) -> NoReturn:
    """Say that all is ready, then answer job after job. `wanted` names the folder that code runs in."""
    work = wanted["work"]
    sys.path[:0] = [work, *wanted["path"]]
    os.chdir(work)
    own_streams()
    forget_ourselves()
    interpreter, outbox, me = Interpreter(), files.Outbox(work), os.getpid()
    line = tools.Line(channel)
    frames.send(channel, {"ready": True})
    while (message := frames.receive(channel)) is not None:
        fields, body = message
        _prepare(interpreter, work, fields, body)
        if "tools" in fields:
            interpreter.names.update(tools.functions(line, fields["tools"]))
        outcome = interpreter.run(fields["code"], fields["name"], fields.get("tools", ()))
        flush()
        if os.getpid() != me:
            leave_fork(outcome)
        try:
            answer, body = _answer(outcome, outbox, fields)
            if "outputs" in fields and outcome.fault is None:
                answer["outputs"] = _outputs(interpreter, fields["outputs"])
            frames.send(channel, answer, body)
        except OSError:  # the code closed the socket; how this process ends is its answer
            os._exit(1)
        if outcome.leaving is not None:
            os._exit(outcome.leaving)
    os._exit(0)


def forget_ourselves() -> None:
    """Take our modules from those that code can import: it may bring some of the same name."""
    for name in [name for name in sys.modules if name.partition(".")[0] == _OURS]:
        del sys.modules[name]


def own_streams() -> None:
    """Unbuffered, so that what was printed before a kill has left the process."""
    sys.stdout = _text(1, "strict")
    sys.stderr = _text(2, "backslashreplace")
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr


def _text(descriptor: int, errors: str) -> io.TextIOWrapper:
    raw: Any = open(descriptor, "wb", buffering=0, closefd=False)  # noqa: SIM115 - lives as long as the process
    return io.TextIOWrapper(raw, encoding="utf-8", errors=errors, write_through=True)


def _prepare(interpreter: Interpreter, work: str, fields: dict[str, Any], body: memoryview) -> None:
    taken = files.place(work, fields["files"], body)
    files.standard_input(body[taken:])
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    interpreter.names.update(json.loads(fields["context"]))
    bound(fields["bounds"])


def bound(bounds: dict[str, int]) -> None:
    """Resource limits, for good; that of CPU time only softly, because a session's processes add up."""
    for name, most in bounds.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        if name == "CPU":
            used = resource.getrusage(resource.RUSAGE_SELF)
            resource.setrlimit(kind, (round(used.ru_utime + used.ru_stime) + most, hard))
        else:
            least = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (least, least))


def flush() -> None:
    """What the code put in place of the streams may hold something back; they may be anything by now."""
    streams: list[Any] = [sys.stdout, sys.stderr]
    for stream in streams:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def leave_fork(outcome: Outcome) -> NoReturn:
    """The code forked, and this is the copy: it ends as a script would, and answers nobody."""
    if outcome.fault is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(outcome.fault["traceback"])
        os._exit(1)
    os._exit(outcome.leaving or 0)


def _outputs(interpreter: Interpreter, names: list[str]) -> dict[str, str]:
    """Globals as JSON text, as far as they are JSON and there is room for them."""
    found: dict[str, str] = {}
    room = show.MAX_TEXT
    for name in names:
        text = show.as_json(interpreter.names[name]) if name in interpreter.names else None
        if text is not None and len(text) <= room:
            found[name] = text
            room -= len(text)
    return found


def _answer(outcome: Outcome, outbox: files.Outbox, fields: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    room, most = fields["artifact_bytes"], fields["artifacts"]
    shown: list[tuple[str, bytes]] = []
    left_out = 0
    for name, content in show.images(outcome.value):
        if len(shown) < most and len(content) <= room:
            shown.append((name, content))
            room -= len(content)
        else:
            left_out += 1
    left = outbox.take(most - len(shown), room)
    value = None
    if outcome.value is not None:
        value = {"text": show.as_text(outcome.value), "json": show.as_json(outcome.value)}
    answer = {
        "value": value,
        "fault": outcome.fault,
        "leaving": outcome.leaving is not None,
        "artifacts": [{"name": name, "size": len(content)} for name, content in shown + left.files],
        "left_out": left_out + left.out,
        **used(),
    }
    return answer, b"".join(content for _, content in shown + left.files)


def used() -> dict[str, Any]:
    """What this process and those it waited for have taken so far."""
    mine, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = mine.ru_utime + mine.ru_stime + others.ru_utime + others.ru_stime
    return {"cpu_ms": round(seconds * 1000, 3), "max_rss_kb": max(mine.ru_maxrss, others.ru_maxrss)}
