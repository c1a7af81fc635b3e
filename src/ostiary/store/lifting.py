"""Whether a stop may be lifted: the one place that asks.

Anybody who can write to the state directory may stop; that errs on the safe side. Lifting does
not, so where approvers are registered it takes the key of one of them.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ostiary.store import approvers
from ostiary.store.state import StateDir


def authorise_lift(state: StateDir, unlock: Callable[[], Ed25519PrivateKey]) -> str:
    """Return if a stop may be lifted: the approver whose key that takes, empty where there are none.

    `unlock` gets at the key, and is only called where one is needed. The check is made by who
    lifts: it keeps out whoever has no key and uses the command, not whoever writes to the database
    with other means. Raises CallerFault for a key that is nobody's, or a register that is not sound.
    """
    if not approvers.registered(state):
        return ""
    return approvers.name_of(state, unlock())
