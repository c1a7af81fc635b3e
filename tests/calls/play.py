"""Plays one machine against scripted replies and returns the commands it gave."""

from __future__ import annotations

from collections.abc import Mapping

from ostiary.calls.call import Outcome
from ostiary.calls.machine import Command, Steps


def play(steps: Steps, replies: Mapping[type, list[object]]) -> tuple[list[Command], Outcome]:
    """Run `steps`; each command type takes its replies from `replies` in order."""
    left = {kind: list(queue) for kind, queue in replies.items()}
    commands: list[Command] = []
    reply: object = None
    while True:
        try:
            command = steps.send(reply)
        except StopIteration as stop:
            return commands, stop.value
        commands.append(command)
        reply = left[type(command)].pop(0)
