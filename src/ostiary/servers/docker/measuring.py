"""What `stats` answers, from one sample of an engine. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ostiary.servers.core.content import ToolResult
from ostiary.servers.docker.fitting import Data, fitting
from ostiary.servers.docker.human import binary_size, size
from ostiary.servers.docker.listing import ID
from ostiary.servers.docker.said import Said, members, number, part, said


def sampled(found: Sequence[Said], *, whole_ids: bool = False, compact: bool = True) -> ToolResult:
    """The answer of `stats`."""
    rows = [sample(one, whole=whole_ids) for one in found]

    def full() -> tuple[Data, str]:
        return {"containers": rows}, _words([_line(one) for one in rows])

    def small() -> tuple[Data, str]:
        keys = ("id", "name", "cpuPercent", "memoryUsage", "memoryPercent", "pids")
        short = [{key: one[key] for key in keys} for one in rows]
        return {"containers": short}, _words([_short_line(one) for one in short])

    return fitting((full, small), compact=compact)


def sample(found: Said, *, whole: bool = False) -> Data:
    """What one container uses; zeros where the engine says nothing, as of a stopped one."""
    memory, limit = _memory(part(found, "memory_stats"))
    received, sent = (_network(found, key) for key in ("rx_bytes", "tx_bytes"))
    read, written = (_blocks(found, key) for key in ("read", "write"))
    identity = said(found, "id")
    return {
        "id": identity if whole else identity[:ID],
        "name": said(found, "name").removeprefix("/"),
        "cpuPercent": _processor(found),
        "memoryUsage": binary_size(memory),
        "memoryLimit": binary_size(limit),
        "memoryPercent": round(100 * memory / limit, 2) if limit else 0.0,
        "netIO": f"{size(received, 3)} / {size(sent, 3)}",
        "blockIO": f"{size(read, 3)} / {size(written, 3)}",
        "pids": number(part(found, "pids_stats"), "current"),
        "memoryUsageBytes": memory,
        "memoryLimitBytes": limit,
        "netIn": received,
        "netOut": sent,
        "blockRead": read,
        "blockWrite": written,
    }


def _processor(found: Said) -> float:
    """Percent of one processor between the two readings that a sample holds."""
    now, before = part(found, "cpu_stats"), part(found, "precpu_stats")
    used = number(part(now, "cpu_usage"), "total_usage") - number(part(before, "cpu_usage"), "total_usage")
    passed = number(now, "system_cpu_usage") - number(before, "system_cpu_usage")
    processors = number(now, "online_cpus") or 1
    return round(100 * used / passed * processors, 2) if used > 0 and passed > 0 else 0.0


def _memory(found: Said) -> tuple[int, int]:
    """Bytes in use without what the kernel could drop at once, and how many there may be."""
    usage = number(found, "usage")
    more = part(found, "stats")
    idle = number(more, "total_inactive_file") or number(more, "inactive_file")
    return (usage - idle if idle < usage else usage), number(found, "limit")


def _network(found: Said, key: str) -> int:
    networks = part(found, "networks")
    return sum(number(part(networks, name), key) for name in networks)


def _blocks(found: Said, operation: str) -> int:
    entries = members(part(found, "blkio_stats"), "io_service_bytes_recursive")
    return sum(number(one, "value") for one in entries if said(one, "op").lower() == operation)


def _words(lines: list[str]) -> str:
    return "\n".join([f"{len(lines)} containers:", *lines]) if lines else "No container stats available."


def _line(one: Data) -> str:
    memory = f"{one['memoryUsage']}/{one['memoryLimit']} ({one['memoryPercent']:.2f}%)"
    traffic = f"Net: {one['netIO']} Block: {one['blockIO']} PIDs: {one['pids']}"
    return f"  {one['name']} ({one['id']}) CPU: {one['cpuPercent']:.2f}% Mem: {memory} {traffic}"


def _short_line(one: Data) -> str:
    memory = f"Mem: {one['memoryUsage']} ({one['memoryPercent']:.2f}%)"
    return f"  {one['name']} ({one['id']}) CPU: {one['cpuPercent']:.2f}% {memory} PIDs: {one['pids']}"
