"""Room for connections: each takes a file descriptor, and a process has a limit of those."""

from __future__ import annotations

import resource

OTHERS = 128
"""Descriptors for everything else: store, log, children."""

REFUSALS = 1024
"""Most clients over the limit that are connected for as long as they read that they are refused."""

FEWEST = 8


def needed(clients: int, upstream: int) -> int:
    """How many descriptors a gate with that many connections may need."""
    return clients + min(clients, REFUSALS) + upstream + OTHERS


def raise_soft_limit(wanted: int) -> int:
    """Raise this process's limit of descriptors to `wanted`, if it may; returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    except (OSError, ValueError):  # macOS has a lower limit beside the two
        return soft
    return target


def shared_out(limit: int, clients: int, upstream: int) -> tuple[int, int]:
    """How many connections of clients and to the upstream fit into `limit` descriptors.

    Both as asked for if they fit, else in proportion.
    """
    if needed(clients, upstream) <= limit:
        return clients, upstream
    # As if every client could have one beside it that is being refused: true below `REFUSALS`.
    share = max(0, limit - OTHERS) / (2 * clients + upstream)
    return max(FEWEST, int(clients * share)), max(FEWEST, int(upstream * share))
