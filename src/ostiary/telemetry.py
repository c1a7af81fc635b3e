"""Log lines for operators, on standard error. A log line may be lost; the audit log may not."""

from __future__ import annotations

import logging
import sys


def configure(level: str) -> None:
    """Send this package's log lines to standard error. Argument values are never logged."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("ostiary")
    root.handlers[:] = [stream]
    root.propagate = False
    root.setLevel(level.upper())
