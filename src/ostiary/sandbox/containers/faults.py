"""What can go wrong with containers, for people and for facades that tell the cases apart."""

from __future__ import annotations

from ostiary.errors import CallerFault, GatewayFault


class UnknownContainer(CallerFault):
    """There is no such container, or it is not this owner's: the text is the same."""


class NotRunning(CallerFault):
    """The container is there, and stopped."""


class NameTaken(CallerFault):
    """A container of this name is there already (perhaps somebody else's)."""


class ImageFault(CallerFault):
    """An image that is not there and cannot be had, or that cannot be started."""


class NoManager(CallerFault):
    """No package manager was found in the container."""


class InstallRefused(CallerFault):
    """Packages cannot be installed in this container, whatever they are; `message` says why."""


class EngineFault(GatewayFault):
    """The engine cannot be reached, or answered with an error of its own."""
