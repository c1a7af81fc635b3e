"""The toolset `scripts`: containers of one's own, and commands and Python scripts in them."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from ostiary.errors import CallerFault, OstiaryError
from ostiary.sandbox.containers.faults import NoManager, NotRunning, UnknownContainer
from ostiary.sandbox.containers.found import Installed
from ostiary.sandbox.containers.names import check_command
from ostiary.sandbox.engine import Busy
from ostiary.sandbox.limits import DEFAULT_LIMITS
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import Command, RunRequest
from ostiary.servers.core.content import ToolResult
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Arguments
from ostiary.servers.docker import script_replies as replies
from ostiary.servers.docker.arguments import flag
from ostiary.servers.docker.exec_replies import TIMED_OUT
from ostiary.servers.docker.script_replies import Done
from ostiary.servers.docker.service import Service, telling
from ostiary.servers.runs import awaited

COMMAND_MS: Final = 30_000
SCRIPT_MS: Final = 60_000
INSTALL_S: Final = 180
LIST_S: Final = 15

NO_MANAGER: Final = "No supported package managers found in the container"
INSTALL_TIMEOUT: Final = "Timeout while installing dependencies. Operation took too long."
NOT_FOUND: Final = 127
_NO_PYTHON: Final = re.compile(
    r'exec: "python": executable file not found'  # runc
    r"|executable file `python` not found"  # crun
    r'|error finding executable "python" in PATH'  # gVisor
)


async def create_container(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `create_container`."""
    name, dependencies = arguments["container_name"], arguments.get("dependencies", "")
    try:
        packages = replies.packages_of(dependencies)
        async with telling(context) as tell:
            found = await service.containers.create(context.owner, arguments["image"], name, tell)
    except OstiaryError as fault:
        return _said(service, replies.failed("Error creating container", fault))
    created = f"Container created with ID: {found.id}"
    if not packages:
        return _said(service, Done(created, stdout=found.id))
    done = await _install(service, name, packages, context)
    words = (
        f"{created}\nDependencies installed: {dependencies}"
        if not done.exit_code
        else f"{created}\n{done.words}"
    )
    return _said(service, done._replace(words=words))


async def add_dependencies(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `add_dependencies`."""
    name, dependencies = arguments["container_name"], arguments["dependencies"]
    try:
        packages = replies.packages_of(dependencies)
        if not packages:
            raise CallerFault("`dependencies` is empty")  # noqa: TRY301 - refused as the others are
    except CallerFault as fault:
        return _said(service, replies.failed("Error installing dependencies", fault))
    done = await _install(service, name, packages, context)
    if not done.exit_code:
        done = done._replace(words=f"Dependencies installed in container '{name}': {dependencies}")
    return _said(service, done)


async def execute_code(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `execute_code`."""
    command = arguments["command"]
    try:
        argv = replies.command_of(command)
        record, notes = await _command(service, arguments["container_name"], argv, context)
    except Busy:
        raise
    except OstiaryError as fault:
        return _said(service, replies.failed("Error executing command", fault))
    notes += replies.operator_note(command, argv)
    return replies.executed(record, "command", strict=service.strict_errors, notes=notes)


async def execute_python_script(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `execute_python_script`."""
    try:
        given = replies.words_of(arguments.get("script_args", ""), "script_args")
        container = await _running(service, arguments["container_name"], context)
        command = Command(container=container, argv=given, script=True)
        check_command(command)
        request = RunRequest(
            code=arguments["script_content"],
            owner=context.owner,
            command=command,
            limits=DEFAULT_LIMITS.lasting(SCRIPT_MS),
        )
        record = await awaited(service.engine, request, context, echo=True)
    except Busy:
        raise
    except OstiaryError as fault:
        return _said(service, replies.failed("Error executing Python script", fault))
    return replies.executed(record, "Python script", strict=service.strict_errors)


async def cleanup_container(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `cleanup_container`."""
    name = arguments["container_name"]
    try:
        killed = await service.containers.remove(context.owner, name)
    except OstiaryError as fault:
        return _said(service, replies.failed("Error cleaning the container", fault))
    how = "forcibly removed after timeout" if killed else "stopped and removed"
    return _said(service, Done(f"Container '{name}' has been {how}."))


async def list_containers(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `list_containers`."""
    everything = flag(arguments, "show_all", default=True)
    try:
        async with asyncio.timeout(LIST_S):
            found = await service.containers.visible(context.owner, everything=everything)
    except TimeoutError:
        words = "Timeout while listing containers. Operation took too long."
        return _said(service, Done(words, TIMED_OUT, timed_out=True))
    except OstiaryError as fault:
        return _said(service, replies.failed("Error listing containers", fault))
    words = replies.table(found, service.now(), everything=everything)
    return _said(service, Done(words, stdout=words))


# --- parts ------------------------------------------------------------------------------------------


def _said(service: Service, done: Done) -> ToolResult:
    return replies.answered(done, strict=service.strict_errors)


async def _running(service: Service, name: str, context: CallContext) -> str:
    """The id of a container that runs. Raises CallerFault, in the words of the engine, EngineFault."""
    try:
        found = await service.containers.find(context.owner, name)
    except UnknownContainer:
        raise UnknownContainer(f"Error response from daemon: No such container: {name}") from None
    if not found.running:
        raise NotRunning(f"Error response from daemon: container {found.id} is not running")
    return found.id


async def _command(
    service: Service, name: str, argv: tuple[str, ...], context: CallContext
) -> tuple[RunRecord, list[str]]:
    """Run a command; where it is `python` and only `python3` is there, that one."""
    container = await _running(service, name, context)

    async def attempt(argv: tuple[str, ...]) -> RunRecord:
        command = Command(container=container, argv=argv)
        check_command(command)
        limits = DEFAULT_LIMITS.lasting(COMMAND_MS)
        request = RunRequest(code="", owner=context.owner, command=command, limits=limits)
        return await awaited(service.engine, request, context, echo=True)

    record = await attempt(argv)
    if argv[0] == "python" and _was_missing(record):
        again = await attempt(("python3", *argv[1:]))
        if not _was_missing(again):
            return again, ["there is no `python` in this container, so `python3` ran it"]
    return record, []


def _was_missing(record: RunRecord) -> bool:
    """Whether there was no `python`, in the words of an engine: nothing has run then.

    A program that did run may end in the same way, since what it looked for was not there either.
    """
    return (
        record.exit_code == NOT_FOUND
        and not record.stdout.size
        and _NO_PYTHON.search(record.stderr.whole) is not None
    )


async def _install(service: Service, name: str, packages: tuple[str, ...], context: CallContext) -> Done:
    """Install packages; the words of a failure are those of the original."""
    try:
        async with asyncio.timeout(INSTALL_S), telling(context) as tell:
            installed = await service.containers.install(context.owner, name, packages, tell)
    except TimeoutError:
        return Done(INSTALL_TIMEOUT, TIMED_OUT, timed_out=True)
    except (NotRunning, UnknownContainer):
        words = f"Container '{name}' is not running or does not exist"
        return Done(words, 1, stderr=words)
    except NoManager:
        return Done(NO_MANAGER, 1, stderr=NO_MANAGER)
    except OstiaryError as fault:
        return replies.failed("Error installing dependencies", fault)
    return _installed(installed)


def _installed(done: Installed) -> Done:
    if done.exit_code == 0:
        words = ""
    elif done.exit_code == TIMED_OUT:
        words = INSTALL_TIMEOUT
    else:
        words = f"Error installing dependencies: {done.stderr}"
    return Done(words, done.exit_code, done.stdout, done.stderr, timed_out=done.exit_code == TIMED_OUT)
