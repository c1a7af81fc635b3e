"""What a run may use and nobody may read: the port between the queue and whoever keeps secrets. Pure."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class Outward(Protocol):
    """A way out for one run: serves what listens in its network for as long as the run lasts."""

    def __call__(self, listener: Any) -> AbstractAsyncContextManager[object]:
        """`listener` is a socket that accepts, and stays its owner's."""
        ...


class Secrecy(Protocol):
    """The secrets of one run."""

    @property
    def outward(self) -> Outward | None:
        """Its way out; None where it has no network."""
        ...

    @property
    def holds_any(self) -> bool:
        """Whether its code has a secret at all; it may have a way out without one."""
        ...

    @property
    def needs_network(self) -> bool:
        """Whether it makes no sense without a way out."""
        ...

    @property
    def masks(self) -> Masks:
        """What is taken out of all that it writes and answers."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reply says of them: names and modes, no values."""
        ...


class Masks(Protocol):
    """Takes texts out of bytes."""

    def masked(self, data: bytes) -> bytes:
        """All of `data`."""
        ...

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """What of `data` can be shown, masked, and what has to wait for what follows it."""
        ...
