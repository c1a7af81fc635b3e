"""What goes wrong with the packages of a run."""

from __future__ import annotations

from ostiary.errors import CallerFault


class PackageFault(CallerFault):
    """The packages that a run asks for cannot be had: its code is then not started.

    `output` is what the resolver wrote, bounded, without credentials and without the paths of
    this machine; empty where none was asked. It is part of the message as well.
    """

    def __init__(self, message: str, *, hint: str | None = None, output: str = "") -> None:
        super().__init__(f"{message}:\n{output}" if output else message, hint=hint)
        self.output = output
