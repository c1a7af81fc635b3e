"""Runs commands and scripts in containers that are there already."""

from __future__ import annotations

from collections.abc import Callable

from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import IsolationReport
from ostiary.sandbox.runner import Environment, Worker


class ContainerRunner:
    """Implements `Runner`: each job names its container in `Job.command`.

    `name` is `docker` or `podman` once it has started. The facade has found the container for its owner
    (`Containers.find`) before it makes a request; nothing is checked again here.

    How a job ends: `exited` with the exit code (127 and 126 for what is not there or cannot be
    executed, as the docker CLI has them), `signalled` for a script that a signal ended, `lost` with a
    note when the container or the engine went away. A job that was stopped has ended in the
    container as well, or a note says that it may not have.
    """

    name = "docker"
    version = ""
    grace_ms = 0

    def __init__(self, containers: Containers) -> None:
        raise NotImplementedError

    async def start(self, on_trouble: Callable[[str], object]) -> None:
        """Reach the engine. Raises EngineFault."""
        raise NotImplementedError

    def isolation(self) -> IsolationReport:
        """What is known of containers in general: each is walled off as it was made."""
        raise NotImplementedError

    async def worker(self, limits: Limits, environment: Environment) -> Worker:
        """For one job; nothing is started before it."""
        raise NotImplementedError

    async def close(self) -> None:
        """End every process of ours in every container, and close `containers` as well."""
        raise NotImplementedError
