"""What each method does: from params to the result of a request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from ostiary.errors import OstiaryError
from ostiary.servers.core.catalogue import Entry, Nothing, extra_entry, page
from ostiary.servers.core.content import STRUCTURED_SINCE, ToolResult, failure, for_revision
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.fault import (
    INTERNAL,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    NO_RESOURCE,
    InputNeeded,
    RpcFault,
)
from ostiary.servers.core.prompt import Prompt
from ostiary.servers.core.resource import Complete, Resource, variables
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Arguments
from ostiary.wire.message import as_object

log = logging.getLogger("ostiary.servers")

Params = Mapping[str, object]
Result = dict[str, object]
Method = Callable[[Server, Params, CallContext], Awaitable[Result]]

FAILED = "the tool failed unexpectedly; the server's log says why"
MAX_COMPLETIONS = 100


def find(server: Server, name: str) -> Method:
    """The method called `name`. Raises RpcFault where this server has none."""
    method = _METHODS.get(name)
    offered = server.catalogue
    has = {
        "tools": offered.tools,
        "resources": offered.resources or offered.templates,
        "prompts": offered.prompts,
        "completion": "completions" in server.capabilities,
    }
    if method is None or not has.get(name.partition("/")[0], True):
        raise RpcFault(METHOD_NOT_FOUND, f"this server has no method `{name[:64]}`")
    return method


# --- tools ------------------------------------------------------------------------------------------


async def _list_tools(server: Server, params: Params, context: CallContext) -> Result:
    extra = server.extra.listed(context.owner)
    listed = server.catalogue.listing(context.caller.revision, extra)
    shown = page(listed, "tools", params.get("cursor"), server.page_size)
    if isinstance(server.extra, Nothing):
        return _kept(server, shown)
    return shown | {"ttlMs": 0, "cacheScope": "private"}


async def _call_tool(server: Server, params: Params, context: CallContext) -> Result:
    """(1) Whose name it is, (2) are the arguments right, (3) the call, (4) its result on the wire."""
    # (1)
    name = cast("str", params["name"])
    entry = server.catalogue.tools.get(name)
    if entry is None:
        found = server.extra.find(context.owner, name, context.caller.call)
        entry = None if found is None else extra_entry(found)
    if entry is None:
        raise RpcFault(INVALID_PARAMS, f"unknown tool `{name[:128]}`")
    # (2)
    try:
        arguments = _arguments(entry, cast("Arguments", params.get("arguments") or {}))
        # (3)
        result = await entry.tool.handler(arguments, context)
        if entry.alias is not None and entry.alias.answer is not None:
            result = entry.alias.answer(result)
    except RpcFault:
        raise
    except OstiaryError as error:
        result = failure(error.message if error.hint is None else f"{error.message} ({error.hint})")
    except Exception:  # a handler's own fault: its text could say anything, so only the log has it
        log.exception("the tool `%s` failed", entry.tool.name)
        result = failure(FAILED)
    # (4)
    return _result(server, entry, result, context)


def _arguments(entry: Entry, given: Arguments) -> Arguments:
    """The arguments of the tool, checked and converted. Raises OstiaryError for what does not fit."""
    alias = entry.alias
    if entry.before is not None:
        _fits(entry.before.problem(given))
    if alias is not None and alias.convert is not None:
        given = alias.convert(given)
    _fits(entry.inputs.problem(given))
    return given


def _fits(problem: str | None) -> None:
    if problem is not None:
        raise OstiaryError(f"invalid arguments: {problem}")


def _result(server: Server, entry: Entry, result: ToolResult, context: CallContext) -> Result:
    revision = context.caller.revision
    body: Result = {"content": [for_revision(block, revision) for block in result.content]}
    if result.structured is not None and revision >= STRUCTURED_SINCE:
        body["structuredContent"] = result.structured
    body["isError"] = result.is_error
    if result.meta:
        body["_meta"] = result.meta
    if server.debug and entry.outputs is not None and not result.is_error:
        problem = (
            "no structured content" if result.structured is None else entry.outputs.problem(result.structured)
        )
        if problem is not None:
            raise RpcFault(INTERNAL, f"the tool `{entry.tool.name}` broke its output schema: {problem}")
    return body


# --- resources --------------------------------------------------------------------------------------


async def _list_resources(server: Server, params: Params, context: CallContext) -> Result:
    found: list[Resource] = [one for one in server.catalogue.resources.values() if not one.unlisted]
    for _, template in server.catalogue.templates:
        if template.list is not None:
            found += await template.list(context)
    listed = page([one.listed() for one in found], "resources", params.get("cursor"), server.page_size)
    return listed | {"ttlMs": 0, "cacheScope": "private"}


async def _list_templates(server: Server, params: Params, _: CallContext) -> Result:
    listed = [template.listed() for _, template in server.catalogue.templates if not template.unlisted]
    return _kept(server, page(listed, "resourceTemplates", params.get("cursor"), server.page_size))


async def _read_resource(server: Server, params: Params, context: CallContext) -> Result:
    uri = cast("str", params["uri"])
    contents = None
    one = server.catalogue.resources.get(uri)
    if one is not None:
        contents = await one.read(uri, {}, context)
    else:
        for compiled, template in server.catalogue.templates:
            found = variables(compiled, uri)
            if found is not None:
                contents = await template.read(uri, found, context)
                break
    if contents is None:
        code = INVALID_PARAMS if context.caller.modern else NO_RESOURCE
        raise RpcFault(code, "resource not found", {"uri": uri})
    return {"contents": list(contents), "ttlMs": 0, "cacheScope": "private"}


# --- prompts and completion -------------------------------------------------------------------------


async def _list_prompts(server: Server, params: Params, _: CallContext) -> Result:
    listed = [prompt.listed() for prompt in server.catalogue.prompts.values()]
    return _kept(server, page(listed, "prompts", params.get("cursor"), server.page_size))


async def _get_prompt(server: Server, params: Params, context: CallContext) -> Result:
    prompt = _prompt(server, cast("str", params["name"]))
    given = _strings(params.get("arguments"), "arguments")
    missing = [one.name for one in prompt.arguments if one.required and one.name not in given]
    if missing:
        raise RpcFault(INVALID_PARAMS, f"the prompt needs the argument `{missing[0]}`")
    messages = await prompt.handler(given, context)
    revision = context.caller.revision
    body: Result = {
        "messages": [
            {"role": message.role, "content": for_revision(message.content, revision)} for message in messages
        ]
    }
    return body | ({"description": prompt.description} if prompt.description else {})


def _prompt(server: Server, name: str) -> Prompt:
    prompt = server.catalogue.prompts.get(name)
    if prompt is None:
        raise RpcFault(INVALID_PARAMS, f"unknown prompt `{name[:128]}`")
    return prompt


def _strings(value: object, name: str) -> dict[str, str]:
    given = as_object(value) or {}
    if not all(isinstance(one, str) for one in given.values()):
        raise RpcFault(INVALID_PARAMS, f"the values of `{name}` are strings")
    return cast("dict[str, str]", dict(given))


async def _complete(server: Server, params: Params, context: CallContext) -> Result:
    reference = cast("Params", params["ref"])
    argument = cast("Params", params["argument"])
    typed = argument.get("value")
    if not isinstance(typed, str):
        raise RpcFault(INVALID_PARAMS, "`argument.value` must be a string")
    others = _strings((as_object(params.get("context")) or {}).get("arguments"), "context.arguments")
    complete = _completer(server, reference)
    values: list[str] = []
    if complete is not None:
        values += await complete(cast("str", argument["name"]), typed, others, context)
    shown = values[:MAX_COMPLETIONS]
    return {"completion": {"values": shown, "total": len(values), "hasMore": len(values) > len(shown)}}


def _completer(server: Server, reference: Params) -> Complete | None:
    """What completes the arguments of a prompt or a template. Raises RpcFault for an unknown one."""
    if reference.get("type") == "ref/prompt" and isinstance(name := reference.get("name"), str):
        return _prompt(server, name).complete
    if reference.get("type") == "ref/resource" and isinstance(uri := reference.get("uri"), str):
        for _, template in server.catalogue.templates:
            if template.uri_template == uri:
                return template.complete
    raise RpcFault(INVALID_PARAMS, "`ref` names no prompt or resource template of this server")


# --- the rest ---------------------------------------------------------------------------------------


async def _discover(server: Server, _params: Params, _: CallContext) -> Result:
    return server.discovered()


async def _ping(_server: Server, _params: Params, _: CallContext) -> Result:
    return {}


def _kept(server: Server, listed: Result) -> Result:
    """A listing that is the same for everybody."""
    return listed | {"ttlMs": server.list_ttl_ms, "cacheScope": "public"}


_METHODS: Mapping[str, Method] = {
    "tools/list": _list_tools,
    "tools/call": _call_tool,
    "resources/list": _list_resources,
    "resources/templates/list": _list_templates,
    "resources/read": _read_resource,
    "prompts/list": _list_prompts,
    "prompts/get": _get_prompt,
    "completion/complete": _complete,
    "server/discover": _discover,
    "ping": _ping,
}

WORK = frozenset({"tools/call", "resources/read", "prompts/get", "completion/complete"})
"""Methods behind which a handler works: the ones whose number at once is bounded."""


async def perform(server: Server, name: str, params: Params, context: CallContext) -> Result:
    """The result of one request.

    Raises RpcFault with what to answer instead, InputNeeded where the client has to answer first.
    """
    try:
        return await find(server, name)(server, params, context)
    except (RpcFault, InputNeeded):
        raise
    except OstiaryError as error:
        raise RpcFault(INTERNAL, error.message, hint=error.hint) from error
    except Exception as error:  # as for tools: only the log has the text
        log.exception("`%s` failed", name)
        raise RpcFault(INTERNAL, "the server failed unexpectedly; its log says why") from error
