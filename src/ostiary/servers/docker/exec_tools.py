"""The tool `exec`: one command in a container, with structured output."""

from __future__ import annotations

from ostiary.sandbox.containers.faults import UnknownContainer
from ostiary.sandbox.containers.names import check_command
from ostiary.sandbox.limits import DEFAULT_LIMITS
from ostiary.sandbox.request import Command, RunRequest
from ostiary.servers.core.content import ToolResult
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Arguments
from ostiary.servers.docker.arguments import exec_asked
from ostiary.servers.docker.exec_replies import executed, refused
from ostiary.servers.docker.service import Service
from ostiary.servers.runs import awaited


async def exec_(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `exec`. Raises CallerFault for a request that cannot be meant, EngineFault."""
    asked = exec_asked(arguments)
    if asked.path is not None:
        service.folder.inside("path", asked.path)
    from_file = () if asked.env_file is None else service.folder.variables(asked.env_file)
    try:
        found = await service.containers.find(context.owner, asked.container)
    except UnknownContainer:
        return refused(f"Error response from daemon: No such container: {asked.container}")
    if not found.running:
        return refused(f"Error response from daemon: container {found.id} is not running")
    command = Command(
        container=found.id,
        argv=asked.argv,
        env=(*from_file, *asked.env),
        workdir=asked.workdir,
        user=asked.user,
        detach=asked.detach,
    )
    check_command(command)
    limits = DEFAULT_LIMITS.lasting(asked.timeout_ms)
    request = RunRequest(code="", owner=context.owner, command=command, limits=limits)
    return executed(await awaited(service.engine, request, context, echo=True), asked)
