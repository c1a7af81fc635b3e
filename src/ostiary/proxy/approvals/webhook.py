"""Tells somebody who is not at this machine what becomes of requests for approval.

Each event is one POST of JSON, signed with HMAC-SHA256 over its time and body, as
`Ostiary-Signature: t=<unix seconds>,v1=<hex>`. No argument value is sent: whoever is told looks at
the call with `ostiary approvals show`. Deliveries never hold up a call; they are bounded in number
and tries, and one that is given up leaves a record.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from ostiary.approvals.request import Standing
from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Flow, Head, Upstream, UpstreamRequest

log = logging.getLogger("ostiary.approvals")

MAX_QUEUED = 256
"""Events that wait to be sent, or sent again; the oldest is given up for a newer one."""

AT_ONCE = 4
WAITS = (1.0, 5.0, 30.0)
"""Seconds before each further try."""

PATIENCE = 10.0
"""Seconds that one try may take."""

SECOND = 1_000_000
MIN_SECRET = 16
"""Bytes that a secret has at least."""

STOPPED = "the gate stopped"

_encode = msgspec.json.Encoder().encode


class Patience(msgspec.Struct, frozen=True):
    """Seconds that one try may take, and seconds before each further one."""

    one_try: float = PATIENCE
    waits: tuple[float, ...] = WAITS


class Delivery(msgspec.Struct, eq=False):
    """One event on its way. `again` is set while it waits to be sent once more."""

    id: str
    event: str
    approval: str
    body: bytes
    tried: int = 0
    again: asyncio.TimerHandle | None = None


class Webhook:
    """Implements `room.Told`. `upstream` reaches the URL; `given_up` hears of what could not be told."""

    def __init__(
        self,
        upstream: Upstream,
        secret: bytes,
        *,
        clock: Callable[[], int],
        mint: Callable[[], str],
        given_up: Callable[[str, str], None],
        patience: Patience | None = None,
    ) -> None:
        self._upstream = upstream
        self._secret = secret
        self._clock = clock
        self._mint = mint
        self._given_up = given_up
        self._patience = patience or Patience()
        self._queue: deque[Delivery] = deque()
        self._later: dict[Delivery, None] = {}  # in the order in which they failed
        self._flying = 0
        self._closed = False

    def __call__(self, event: str, standing: Standing) -> None:
        """Queue the news that `event` happened to a request."""
        if self._closed:
            return
        delivery_id, name = self._mint().replace("ev_", "dlv_"), f"approval.{event}"
        body = _encode(described(name, delivery_id, standing, self._clock()))
        self._queue.append(Delivery(delivery_id, name, standing.request.id, body))
        self._send()
        self._stay_bounded()

    async def close(self) -> None:
        """Stop; what is not delivered is recorded as given up."""
        self._closed = True
        while self._later:
            self._give_up(self._awake(next(iter(self._later))), STOPPED)
        while self._queue:
            self._give_up(self._queue.popleft(), STOPPED)
        await self._upstream.close()

    # Inside.

    def _send(self) -> None:
        while self._queue and self._flying < AT_ONCE and not self._closed:
            delivery = self._queue.popleft()
            self._flying += 1
            delivery.tried += 1
            attempt = _Attempt(
                self._patience.one_try, lambda problem, one=delivery: self._ended(one, problem)
            )
            headers = (
                (b"content-type", b"application/json"),
                (b"ostiary-event", delivery.event.encode()),
                (b"ostiary-signature", signature(self._secret, self._clock() // SECOND, delivery.body)),
            )
            attempt.begin(self._upstream.send(UpstreamRequest("POST", headers, delivery.body), attempt))

    def _ended(self, delivery: Delivery, problem: str) -> None:
        self._flying -= 1
        waits = self._patience.waits
        if self._closed and problem:
            self._give_up(delivery, STOPPED)
        elif problem and delivery.tried <= len(waits):
            self._put_off(waits[delivery.tried - 1], delivery)
        elif problem:
            self._give_up(delivery, problem)
        self._send()

    def _put_off(self, seconds: float, delivery: Delivery) -> None:
        def again() -> None:
            self._queue.append(self._awake(delivery))
            self._send()

        delivery.again = asyncio.get_running_loop().call_later(seconds, again)
        self._later[delivery] = None
        self._stay_bounded()

    def _stay_bounded(self) -> None:
        if len(self._queue) + len(self._later) > MAX_QUEUED:
            oldest = self._awake(next(iter(self._later))) if self._later else self._queue.popleft()
            self._give_up(oldest, "too many events wait to be sent")

    def _awake(self, delivery: Delivery) -> Delivery:
        """Let `delivery` wait no longer."""
        del self._later[delivery]
        if delivery.again is not None:
            delivery.again.cancel()
            delivery.again = None
        return delivery

    def _give_up(self, delivery: Delivery, problem: str) -> None:
        log.warning("the webhook was not told of %s %s: %s", delivery.event, delivery.approval, problem)
        self._given_up(delivery.approval, f"{delivery.event}: {problem}")


def signature(secret: bytes, seconds: int, body: bytes) -> bytes:
    """The value of `Ostiary-Signature` for a body that is sent at `seconds` (Unix time)."""
    digest = hmac.new(secret, b"%d." % seconds + body, hashlib.sha256).hexdigest()
    return b"t=%d,v1=%b" % (seconds, digest.encode())


def described(event: str, delivery_id: str, standing: Standing, now: int) -> Mapping[str, object]:
    """The document that is sent."""
    request = standing.request
    return {
        "v": 1,
        "event": event,
        "id": delivery_id,
        "ts": _stamp(now),
        "approval": {
            "id": request.id,
            "state": standing.state,
            "tool": request.tool,
            "server": request.server,
            "grant": request.grant,
            "principal": request.principal,
            "asked": _stamp(request.asked),
            "expires": _stamp(request.expires),
            "rules": request.rules,
            "reasons": request.reasons,
            "message": request.message,
            "approvers": request.approvers,
            "args_keys": request.args_keys,
            "evaluation_id": request.evaluation,
            "note": standing.note,
            "answers": [
                {"approver": one.approver, "verdict": one.verdict, "at": _stamp(one.at)}
                for one in standing.resolutions
            ],
        },
    }


def _stamp(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds / SECOND, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Attempt:
    """A sink that only wants the status; `done` gets a problem in words, or nothing."""

    def __init__(self, seconds: float, done: Callable[[str], None]) -> None:
        self._done: Callable[[str], None] | None = done
        self._flow: Flow | None = None
        self._seconds = seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._late)

    def begin(self, flow: Flow) -> None:
        """The try is under way."""
        self._flow = flow

    def head(self, head: Head) -> None:
        refused = not 200 <= head.status < 300  # noqa: PLR2004 - the HTTP class
        self._drop(f"HTTP status {head.status}" if refused else "")

    def data(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def fault(self, fault: UpstreamFault) -> None:
        self.end_with(fault.message.replace("the upstream", "the receiver", 1))

    def end_with(self, problem: str) -> None:
        """The try is over."""
        done, self._done = self._done, None
        self._timer.cancel()
        if done is not None:
            done(problem)

    def _late(self) -> None:
        self._drop(f"no answer within {self._seconds:g} seconds")

    def _drop(self, problem: str) -> None:
        if self._flow is not None:
            self._flow.cancel()
        self.end_with(problem)
