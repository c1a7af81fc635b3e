"""How a client's bridge reaches the client."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ostiary.identity.grant import Grant
from ostiary.proxy.bridge.complaint import Complaints
from ostiary.proxy.bridge.renewal import OnRenewed, RenewalLimits, silently
from ostiary.proxy.exchange import nothing


class ClientPort(msgspec.Struct, frozen=True):
    """The way back: `write` is a message for the client, in which line ends mean nothing.

    `changed` says that the number of messages under way or held back has changed, `lost` that
    the server knows the session no more and no other could be begun, `renewed` that one was.
    `peer` and `grant` say whose requests these are.
    `resume_within` is the longest wait, in seconds, before a stream that the server let go is
    asked for again.
    """

    write: Callable[[bytes], object]
    changed: Callable[[], object]
    complain: Complaints
    peer: str
    grant: Grant | None = None
    resume_within: float = 30.0
    lost: Callable[[], object] = nothing
    renewed: OnRenewed = silently
    renewal: RenewalLimits = RenewalLimits()
