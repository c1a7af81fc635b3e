"""What goes wrong with the packages of a run."""

from __future__ import annotations

from ostiary.errors import OstiaryError


class PackageFault(OstiaryError):
    """The packages that a run asks for cannot be had: its code is then not started.

    `output` is what the resolver wrote, bounded, without credentials and without the paths of
    this machine; empty where none was asked.
    """

    def __init__(self, message: str, *, hint: str | None = None, output: str = "") -> None:
        super().__init__(message, hint=hint)
        self.output = output
