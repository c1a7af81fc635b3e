"""All attempts: those that succeed without walls, and those that never do."""

from __future__ import annotations

from tests.escapes.attempts import bounds, files, kernel, left, network, processes
from tests.escapes.contained import host, output, protocol

ATTEMPTS = (
    *files.ATTEMPTS, *processes.ATTEMPTS, *network.ATTEMPTS, *kernel.ATTEMPTS, *bounds.ATTEMPTS,
    *left.ATTEMPTS,
)  # fmt: skip
ONLY_CONTAINED = (*protocol.CONTAINED, *output.CONTAINED, *host.CONTAINED)

CATEGORIES = frozenset(
    {
        "files", "links", "proc", "environ", "ptrace", "process_vm_readv", "io_uring", "keyctl",
        "netlink", "bpf", "perf_event_open", "userfaultfd", "namespaces", "mount", "chroot",
        "pivot_root", "network", "sysctl", "fork bomb", "thread bomb", "memory", "disk", "processor time",
        "output", "signals", "artifacts", "protocol", "other runs", "leftovers", "descriptors",
        "escalation", "time", "kernel surface", "foreign numbers", "personality", "modify_ldt",
        "daemons", "after the answer", "crashes",
    }
)  # fmt: skip
"""What there has to be an attempt at."""
