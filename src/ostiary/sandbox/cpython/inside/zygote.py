"""A warm interpreter that forks. It never holds a byte of a job.

Of its host it reads one byte at a time, and with each come the descriptors of one child. Jobs go to
the children, on those descriptors, once they are walled off.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
from typing import Any, Final, NoReturn

from ostiary.sandbox.cpython.inside import child, frames, serving

DESCRIPTORS: Final = 4
"""Of a child: its job socket, its status socket, its stdout, its stderr."""


def main(control: socket.socket, settings: dict[str, Any]) -> NoReturn:
    """Import what children should find imported, then fork one for each byte."""
    sys.path[:] = [path for path in sys.path if path] + settings["path"]
    for name in settings["preload"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    frames.send(control, {"ready": True})
    fork(control, settings, serving.serve)


def fork(control: socket.socket, settings: dict[str, Any], serve: child.Serve) -> NoReturn:
    """Fork a child for each byte, until the host closes the socket."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    gc.collect()
    gc.freeze()  # what is shared with the children stays shared
    while True:
        byte, descriptors, _, _ = socket.recv_fds(control, 1, DESCRIPTORS)
        if not byte:
            os._exit(0)
        if len(descriptors) == DESCRIPTORS and child.spawn(descriptors, settings) == 0:
            control.close()
            child.live(descriptors, settings, serve)
        for descriptor in descriptors:
            os.close(descriptor)
