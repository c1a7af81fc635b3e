"""The tools that make, change, find and start custom tools, and the custom tools themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from ostiary.errors import CallerFault
from ostiary.servers.code import custom_schemas as schemas
from ostiary.servers.code.custom_bench import Workbench, code_of
from ostiary.servers.code.custom_check import PREFIX
from ostiary.servers.code.custom_looking import details, search, status, submit, validate
from ostiary.servers.code.custom_making import create, delete, update
from ostiary.servers.code.replies import text_of
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Alias, Arguments, Tool
from ostiary.store.custom_tools import Version

LOOKS: Final = {"readOnlyHint": True}
ACTS: Final = {"destructiveHint": True}


def custom_tools_of(bench: Workbench) -> list[Tool]:
    """What makes, finds and starts custom tools."""
    return [*_making(bench), *_looking(bench)]


def _making(bench: Workbench) -> list[Tool]:
    return [
        Tool(
            name="createCustomTool",
            description=schemas.CREATE_SAID,
            input_schema=schemas.CREATE,
            accepts=schemas.CREATE_ACCEPTED,
            handler=partial(create, bench),
            aliases=(Alias(name="deployCode"),),
        ),
        Tool(
            name="updateCustomTool",
            description="New version of a tool of yours; takes what createCustomTool takes. "
            "deleteCustomTool removes one.",
            input_schema=schemas.UPDATE,
            accepts=schemas.UPDATE_ACCEPTED,
            handler=partial(update, bench),
        ),
        Tool(
            name="deleteCustomTool",
            description="Remove a custom tool of yours with all its versions.",
            input_schema=schemas.BY_NAME,
            handler=partial(delete, bench),
            unlisted=True,
        ),
    ]


def _looking(bench: Workbench) -> list[Tool]:
    return [
        Tool(
            name="searchCustomTools",
            input_schema=schemas.SEARCH,
            accepts=schemas.SEARCH_ACCEPTED,
            annotations=LOOKS,
            handler=partial(search, bench),
        ),
        Tool(
            name="getCustomToolDetails",
            input_schema=schemas.DETAILS,
            accepts=schemas.DETAILS_ACCEPTED,
            annotations=LOOKS,
            handler=partial(details, bench),
            aliases=(Alias(name="getDeploymentDetails", convert=_by_uuid),),
        ),
        Tool(
            name="validateCustomToolConnection",
            description="Whether you can call the servers and functions that a custom tool needs.",
            input_schema=schemas.BY_NAME,
            annotations=LOOKS,
            handler=partial(validate, bench),
            aliases=(Alias(name="validateDeploymentConnection", convert=_by_uuid),),
            unlisted=True,
        ),
        Tool(
            name="submitCustomToolRun",
            description="Call a custom tool in the background; checkRunStatus tells the rest.",
            input_schema=schemas.SUBMIT,
            accepts=schemas.SUBMIT_ACCEPTED,
            handler=partial(submit, bench),
            aliases=(Alias(name="submitDeploymentRun", convert=_by_uuid),),
        ),
        Tool(
            name="checkRunStatus",
            input_schema=schemas.BY_RUN,
            accepts=schemas.BY_RUN_ACCEPTED,
            annotations=LOOKS,
            handler=partial(status, bench),
        ),
    ]


class Listed:
    """Implements `Extra`: each custom tool that an owner may call as a tool of its own."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def listed(self, owner: str) -> Sequence[Tool]:
        """The newest version of each."""
        return [self._tool(one, one.number, PREFIX + one.name) for one in self._bench.tools.visible(owner)]

    def find(self, owner: str, name: str, call: str) -> Tool | None:
        """By `custom_NAME`, or an older version by `custom_NAME.v2`."""
        meant = self._bench.tools.called(owner, name, call)
        newest = None if meant is None else self._bench.tools.known(owner, meant[0])
        return None if meant is None or newest is None else self._tool(newest, meant[1], name)

    def _tool(self, newest: Version, number: int, called: str) -> Tool:
        definition = newest.definition
        told = f"[custom tool, written by the user `{newest.owner}`; version {newest.number}"
        uses = f"; uses {', '.join(definition.secrets)} of your secrets" if definition.secrets else ""
        said = f"{told}, sha256 {newest.digest[:16]}{uses}]"
        return Tool(
            name=PREFIX + newest.name,
            description=f"{said} {definition.description}",
            input_schema=definition.input_schema,
            annotations=ACTS,
            handler=partial(_run, self._bench, newest.name, number, called),
        )


async def _run(
    bench: Workbench, name: str, number: int, called: str, arguments: Arguments, context: CallContext
) -> ToolResult:
    if called != PREFIX + name:
        _check_name(bench, PREFIX + name, called, context)
    version = bench.tools.version(context.owner, name, number)
    result = await bench.execute(code_of(version, arguments), context)
    if result.structured is None:
        return result
    data = {**result.structured, "tool": PREFIX + name, "version": number}
    return ToolResult((text(text_of(data)),), data, result.is_error, result.meta)


def _check_name(bench: Workbench, tool: str, called: str, context: CallContext) -> None:
    """Whether a version may be called by its own name. Raises CallerFault.

    Gates decide about that name only, and know of no other: this one, and those in front of it.
    """
    if bench.may_be_called(called):
        return
    bench.note("version-refused", f"`{called}` was not run: the policy does not name it", context.owner)
    raise CallerFault(
        f'Tool "{called}" is not available',
        hint=f"`{tool}` is the newest version; `{called}` needs an entry of its own in the policy",
    )


def _by_uuid(arguments: Arguments) -> Arguments:
    """What calls a tool a deployment names it by an id; ours is the name."""
    given = dict(arguments)
    if "deployment_uuid" in given:
        given["deployment_name"] = given.pop("deployment_uuid")
    return given
