"""The containers' server: the tools of its toolsets, and its resources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from ostiary.servers.core.content import ToolResult
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Arguments, Naming, Tool
from ostiary.servers.docker import exec_schemas, look_tools, script_schemas, script_tools
from ostiary.servers.docker.arguments import accepted
from ostiary.servers.docker.exec_tools import exec_
from ostiary.servers.docker.service import Service
from ostiary.servers.runs import Status, run_templates, status_resource

Toolset = Literal["exec", "scripts"]
Handler = Callable[[Service, Arguments, CallContext], Awaitable[ToolResult]]
Schema = dict[str, Any]

PREFIX: Final = "docker"

RUNS: Final = {
    "readOnlyHint": False,
    "destructiveHint": True,
    "idempotentHint": False,
    "openWorldHint": True,
}
"""What runs in a container may destroy what is in it, and reaches what its network reaches."""

LOOKS: Final = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}
MAKES: Final = {
    "readOnlyHint": False,
    "destructiveHint": False,
    "idempotentHint": False,
    "openWorldHint": True,
}
ENDS: Final = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": False}

INSTRUCTIONS: Final = """\
Runs commands and Python scripts in containers: those that you create here, and those that the operator \
allows. Commands are lists of words; no shell reads them unless you start one (sh -c '…'). Output that a \
reply shortens can be read whole as run://ID/stdout."""


class Offer(NamedTuple):
    """One tool as it is offered; its handler takes the `Service` first."""

    name: str
    title: str
    description: str
    inputs: Schema
    outputs: Schema
    handler: Handler
    annotations: dict[str, bool]

    def tool(self, service: Service) -> Tool:
        """The tool itself."""
        return Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.inputs,
            accepts=accepted(self.inputs),
            output_schema=self.outputs,
            annotations=self.annotations,
            handler=partial(self.handler, service),
            prefix=PREFIX,
        )


EXEC_TOOLS: Final = (
    Offer(
        "exec",
        "Docker Exec",
        "Run a command in a running container: exit code, stdout and stderr, JSON on request. "
        "`command` is a list of words and no shell reads it. `timeout` is in milliseconds (30000). "
        "`envFile` and `path` name places in the server's work folder; `path` has no other effect.",
        exec_schemas.EXEC,
        exec_schemas.EXECUTED,
        exec_,
        RUNS,
    ),
    Offer(
        "ps",
        "Docker PS",
        "List the containers that you may use: state, ports, networks, labels.",
        exec_schemas.PS,
        exec_schemas.LISTED,
        look_tools.ps,
        LOOKS,
    ),
    Offer(
        "logs",
        "Docker Logs",
        "What a container's main process has written, by lines.",
        exec_schemas.LOGS,
        exec_schemas.LOGGED,
        look_tools.logs,
        LOOKS,
    ),
    Offer(
        "inspect",
        "Docker Inspect",
        "Details of a container or an image. Values that look like secrets are not shown.",
        exec_schemas.INSPECT,
        exec_schemas.INSPECTED,
        look_tools.inspect,
        LOOKS,
    ),
    Offer(
        "stats",
        "Docker Stats",
        "One sample of what containers use: processor, memory, network, disk, processes.",
        exec_schemas.STATS,
        exec_schemas.SAMPLED,
        look_tools.stats,
        LOOKS,
    ),
    Offer(
        "images",
        "Docker Images",
        "List the images that the engine has.",
        exec_schemas.IMAGES,
        exec_schemas.IMAGES_LISTED,
        look_tools.images,
        LOOKS,
    ),
)

SCRIPT_TOOLS: Final = (
    Offer(
        "create_container",
        "Create container",
        "Create and start a container of your own that waits for commands, walled off, and removed when "
        "it has not been used for a while. `dependencies` are packages with spaces between them.",
        script_schemas.CREATE_CONTAINER,
        script_schemas.DONE,
        script_tools.create_container,
        MAKES,
    ),
    Offer(
        "execute_code",
        "Execute command",
        "Run a command in a running container, for at most 30 seconds. Quotes group words; no shell "
        "reads it, so for a pipe say: sh -c 'a | b'.",
        script_schemas.EXECUTE_CODE,
        script_schemas.DONE,
        script_tools.execute_code,
        RUNS,
    ),
    Offer(
        "execute_python_script",
        "Execute Python script",
        "Run a Python script of any length in a running container, for at most 60 seconds. It arrives "
        "byte for byte.",
        script_schemas.EXECUTE_PYTHON_SCRIPT,
        script_schemas.DONE,
        script_tools.execute_python_script,
        RUNS,
    ),
    Offer(
        "cleanup_container",
        "Remove container",
        "Stop a container and remove it with what is in it.",
        script_schemas.CLEANUP_CONTAINER,
        script_schemas.DONE,
        script_tools.cleanup_container,
        ENDS,
    ),
    Offer(
        "add_dependencies",
        "Install packages",
        "Install packages in a running container with the manager that it has: npm, pip, apt-get or apk.",
        script_schemas.ADD_DEPENDENCIES,
        script_schemas.DONE,
        script_tools.add_dependencies,
        MAKES,
    ),
    Offer(
        "list_containers",
        "List containers",
        "List the containers that you may use, as a table.",
        script_schemas.LIST_CONTAINERS,
        script_schemas.DONE,
        script_tools.list_containers,
        LOOKS,
    ),
)

TOOLSETS: Final[Mapping[Toolset, Sequence[Offer]]] = {"exec": EXEC_TOOLS, "scripts": SCRIPT_TOOLS}


def make_server(
    service: Service, toolsets: Sequence[Toolset], *, version: str, status: Status, naming: Naming = "bare"
) -> Server:
    """The server. `version` is of Ostiary, `status` says which engine there is."""
    offers = [offer for name, offers in TOOLSETS.items() if name in toolsets for offer in offers]
    return Server(
        "ostiary-docker",
        version,
        title="Containers",
        instructions=INSTRUCTIONS,
        tools=[offer.tool(service) for offer in offers],
        resources=[status_resource(status)],
        templates=run_templates(service.engine),
        naming=naming,
    )
