"""The tools that only look: `ps`, `logs`, `inspect`, `stats`, `images`."""

from __future__ import annotations

from ostiary.errors import CallerFault
from ostiary.servers.core.content import ToolResult
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Arguments
from ostiary.servers.docker.arguments import count, flag, no_option, strings
from ostiary.servers.docker.inspecting import inspected
from ostiary.servers.docker.listing import containers_listed, images_listed, images_matching, matching
from ostiary.servers.docker.measuring import sampled
from ostiary.servers.docker.reading import logged
from ostiary.servers.docker.said import number
from ostiary.servers.docker.service import Service

MOST_INSPECTED = 32
MOST_LINES = 100_000


async def ps(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `ps`. Raises CallerFault, EngineFault."""
    last = count(arguments, "last", least=1)
    sizes = flag(arguments, "size")
    everything = flag(arguments, "all", default=True) or last is not None
    found = await service.containers.visible(context.owner, everything=everything)
    if "filter" in arguments:
        found = matching(found, no_option("filter", arguments["filter"]))
    if last is not None:
        found = sorted(found, key=lambda one: number(one, "Created"), reverse=True)[:last]
    compact = flag(arguments, "compact", default=True)
    return containers_listed(found, service.now(), sizes=sizes, compact=compact)


async def logs(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `logs`. Raises CallerFault, EngineFault."""
    tail, limit = count(arguments, "tail"), count(arguments, "limit")
    times = {name: no_option(name, arguments[name]) for name in ("since", "until") if arguments.get(name)}
    found = await service.containers.find(context.owner, no_option("container", arguments["container"]))
    read = await service.containers.logs(
        found,
        tail=100 if tail is None else min(tail, MOST_LINES),
        since=times.get("since", ""),
        until=times.get("until", ""),
        timestamps=flag(arguments, "timestamps"),
        details=flag(arguments, "details"),
    )
    return logged(read, limit=limit, compact=flag(arguments, "compact", default=True))


async def inspect(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `inspect`. Raises CallerFault, EngineFault."""
    given = arguments["target"]
    targets = strings("target", [given] if isinstance(given, str) else given, "")
    if not 1 <= len(targets) <= MOST_INSPECTED:
        raise CallerFault(f"`target` names {len(targets)} things, expected 1 to {MOST_INSPECTED}")
    if "path" in arguments:
        service.folder.inside("path", arguments["path"])
    kind, size = arguments.get("type"), flag(arguments, "size")
    found = [
        await service.containers.inspect(context.owner, no_option("target", one), kind, size=size)
        for one in targets
    ]
    return inspected(targets, found, compact=flag(arguments, "compact", default=True))


async def stats(service: Service, arguments: Arguments, context: CallContext) -> ToolResult:
    """Handle `stats`. Raises CallerFault, EngineFault."""
    names = strings("containers", arguments.get("containers") or (), 'for example ["web"]')
    if "path" in arguments:
        service.folder.inside("path", arguments["path"])
    found = await service.containers.stats(
        context.owner, [no_option("containers", one) for one in names], everything=flag(arguments, "all")
    )
    whole, compact = flag(arguments, "noTrunc"), flag(arguments, "compact", default=True)
    return sampled(found, whole_ids=whole, compact=compact)


async def images(service: Service, arguments: Arguments, _: CallContext) -> ToolResult:
    """Handle `images`. Raises CallerFault, EngineFault."""
    words = {
        name: no_option(name, arguments[name]) for name in ("reference", "filterExpr") if arguments.get(name)
    }
    found = await service.containers.images(everything=flag(arguments, "all"))
    return images_listed(
        images_matching(found, words.get("reference"), words.get("filterExpr")),
        service.now(),
        digests=flag(arguments, "digests"),
        whole_ids=flag(arguments, "noTrunc"),
        compact=flag(arguments, "compact", default=True),
    )
