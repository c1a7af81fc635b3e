"""What is known between the rounds of a modern request, carried by the client under a seal.

The state holds the answers that were used so far. Its seal binds it to the request that it belongs
to, to the owner and to a time, so that no state serves another call. Answers are material and no
permission: a client may give one before it was asked, just as it may ask itself.
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


Known = dict[str, dict[str, object]]
"""Answers of the client by the key of their question."""


class _Sealed(msgspec.Struct, frozen=True):
    until: float
    binding: str
    known: Known


class Seal:
    """Seals and opens states, under a key that lives as long as this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that only grow."""
        self._clock = clock
        self._key = os.urandom(32)
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_Sealed).decode

    def close(self, known: Known, message: Message, owner: str) -> str:
        """The `requestState` of a result. Raises RpcFault when it would be too large."""
        sealed = self._encode(_Sealed(self._clock() + VALID_FOR, _binding(message, owner), known))
        if len(sealed) > MAX_STATE:
            raise RpcFault(INVALID_PARAMS, f"the answers are over {MAX_STATE} bytes")
        return base64.urlsafe_b64encode(self._tag(sealed) + sealed).decode("ascii")

    def open(self, message: Message, owner: str) -> Known:
        """What a request brings of earlier rounds, and the answers that came now.

        What is not an object is no answer. Raises RpcFault where the state is not one that was
        handed out for this very request.
        """
        known = self._earlier(message, owner)
        given = as_object(message.params.get("inputResponses")) or {}
        return known | {
            key: dict(one) for key, value in given.items() if (one := as_object(value)) is not None
        }

    def _earlier(self, message: Message, owner: str) -> Known:
        brought = message.params.get("requestState")
        if not isinstance(brought, str):
            return {}
        sealed = self._read(brought)
        if sealed is None or sealed.binding != _binding(message, owner):
            raise RpcFault(INVALID_PARAMS, "`requestState` is not one that was given for this request")
        if sealed.until < self._clock():
            raise RpcFault(INVALID_PARAMS, "`requestState` has expired; call again without it")
        return sealed.known

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
