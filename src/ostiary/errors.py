"""Faults, by whose fault it is.

A denial is a value and never an exception. What is raised here ends one call, one
connection or one command; nothing in this family can lead to a call being forwarded.
"""

from __future__ import annotations


class OstiaryError(Exception):
    """Root of every error this package raises on purpose.

    `message` says what happened and where, in lower case and without a full stop.
    `hint` says what to do about it, or is None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CallerFault(OstiaryError):
    """The client (or the person at the command line) sent something unusable."""


class UpstreamFault(OstiaryError):
    """The MCP server behind the gate could not be reached, or broke its protocol.

    `written` is True when at least one byte of the request may have left: the call
    then counts and its outcome is unknown (policy P4.4).
    """

    def __init__(self, message: str, *, written: bool, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.written = written


class GatewayFault(OstiaryError):
    """The gate itself could not do its work: store, configuration, resources."""


class StoreFault(GatewayFault):
    """The store refused or failed; whatever depended on it is denied with `(store)`."""
