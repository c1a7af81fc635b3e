"""What a tool remembers between the rounds of a modern request, carried by the client under a seal.

The state names the questions that were asked and holds the answers so far. Its seal binds it to
the request that it belongs to, to the owner and to a time, so that an answer counts only where
its question was put, and no state serves another call.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping

import msgspec

from ostiary.servers.core.content import Json
from ostiary.servers.core.fault import INVALID_PARAMS, RpcFault
from ostiary.wire.message import Message, as_object

VALID_FOR = 600.0
"""Seconds that a client has for one round."""

MAX_STATE = 256 * 1024
_TAG = 32


class State(msgspec.Struct, frozen=True):
    """`asked` are the keys of open questions, `answers` what is known."""

    asked: tuple[str, ...] = ()
    answers: dict[str, dict[str, object]] = {}


class _Sealed(msgspec.Struct, frozen=True):
    until: float
    binding: str
    state: State


class Seal:
    """Seals and opens states, under a key that lives as long as this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that only grow."""
        self._clock = clock
        self._key = os.urandom(32)
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_Sealed).decode

    def close(self, state: State, message: Message, owner: str) -> str:
        """The `requestState` of a result. Raises RpcFault when it would be too large."""
        sealed = self._encode(_Sealed(self._clock() + VALID_FOR, _binding(message, owner), state))
        if len(sealed) > MAX_STATE:
            raise RpcFault(INVALID_PARAMS, f"the answers are over {MAX_STATE} bytes")
        return base64.urlsafe_b64encode(self._tag(sealed) + sealed).decode("ascii")

    def open(self, message: Message, owner: str) -> State:
        """The state that a request brings back, with the answers that came now; empty without one.

        Raises RpcFault where it is not what was handed out for this very request.
        """
        brought = message.params.get("requestState")
        if not isinstance(brought, str):
            return State()
        known = self._read(brought)
        if known is None or known.binding != _binding(message, owner):
            raise RpcFault(INVALID_PARAMS, "`requestState` is not one that was given for this request")
        if known.until < self._clock():
            raise RpcFault(INVALID_PARAMS, "`requestState` has expired; call again without it")
        given = as_object(message.params.get("inputResponses")) or {}
        fresh = {key: dict(answer) for key in known.state.asked if (answer := as_object(given.get(key)))}
        return State((), {**known.state.answers, **fresh})

    def _read(self, brought: str) -> _Sealed | None:
        try:
            raw = base64.b64decode(brought.encode(), b"-_", validate=True)
            if not hmac.compare_digest(raw[:_TAG], self._tag(raw[_TAG:])):
                return None
            return self._decode(raw[_TAG:])
        except (binascii.Error, UnicodeEncodeError, msgspec.MsgspecError):
            return None

    def _tag(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=_TAG).digest()


def _binding(message: Message, owner: str) -> str:
    """A digest of what a request asks for, apart from id, `_meta` and the parts of a round."""
    rounds = ("_meta", "requestState", "inputResponses")
    asked: Mapping[str, object] = {key: value for key, value in message.params.items() if key not in rounds}
    text = msgspec.json.encode([owner, message.method, asked], order="deterministic")
    return hashlib.blake2b(text, digest_size=32).hexdigest()


def requests(questions: Mapping[str, Json], state: str) -> dict[str, object]:
    """The result that ends a round."""
    return {"resultType": "input_required", "inputRequests": dict(questions), "requestState": state}
