"""What the agent is told when a rule has no words of its own.

Each says what happened and what to do next, and nothing about how the policy is made. No text
here or elsewhere in a decision holds an argument value.
"""

from __future__ import annotations

from typing import Final

_SHOWN: Final = 128

NO_POLICY: Final = "No policy is attached to this grant, so every call is refused. Ask the operator."
STOPPED: Final = "All calls are stopped by the operator. Wait until the stop is lifted."


def shown(name: str) -> str:
    """A name from outside, short and printable."""
    return "".join(char if char.isprintable() else "?" for char in name[:_SHOWN])


def not_available(tool: str) -> str:
    """The one message for steps 6-8 (P2.16): it does not say whether the tool exists."""
    return f'Tool "{shown(tool)}" is not available'


def required(tool: str) -> str:
    """A `require` rule does not hold."""
    return f'Tool "{shown(tool)}" needs other arguments than these. Change them, or ask the operator.'


def forbidden(tool: str) -> str:
    """A `deny_if` rule holds."""
    return f'Tool "{shown(tool)}" may not be called with these arguments. Change them, or ask the operator.'


def always_forbidden(tool: str) -> str:
    """A `deny_if` rule without conditions."""
    return f'Tool "{shown(tool)}" may not be called. Do without it, or ask the operator.'


def unreadable(tool: str) -> str:
    """A rule could not be evaluated."""
    return f'An argument of tool "{shown(tool)}" cannot be checked. Write it in its plainest form and type.'


def invalid(tool: str, problem: str) -> str:
    """Arguments do not fit the advertised schema."""
    return f'Arguments of tool "{shown(tool)}" do not fit its input schema: {problem}. Correct the call.'


def unusable_schema(tool: str) -> str:
    """The advertised schema cannot be used."""
    return f'Arguments of tool "{shown(tool)}" cannot be checked. Ask the operator.'


def twin(tool: str) -> str:
    """An argument key only folds to a known one."""
    return f'An argument name of tool "{shown(tool)}" is misspelt. Use the names in its input schema.'


def uncounted(tool: str) -> str:
    """A limit cannot be charged."""
    return f'An argument of tool "{shown(tool)}" that a limit depends on is missing or unusable. Correct it.'


def held(tool: str) -> str:
    """A person has to approve the call."""
    return (
        f'A person has to approve this call of tool "{shown(tool)}". Once that is done, repeat it unchanged.'
    )
