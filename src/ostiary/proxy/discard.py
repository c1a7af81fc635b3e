"""Where answers go that nobody needs."""

from __future__ import annotations

from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Flow, Head
from ostiary.proxy.sessions import Session


class Discard:
    """A sink for answers that nobody needs. Holds one of the session's places for replies."""

    __slots__ = ("_over", "_session", "flow")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._over = False
        self.flow: Flow | None = None
        session.replies += 1

    def head(self, head: Head) -> None:
        if head.length != 0:
            self._cancel()

    def data(self, data: bytes) -> None:
        self._cancel()

    def end(self) -> None:
        self._leave()

    def fault(self, fault: UpstreamFault) -> None:
        self._leave()

    def _cancel(self) -> None:
        if self.flow is not None:
            self.flow.cancel()
        self._leave()

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self._session.replies -= 1
