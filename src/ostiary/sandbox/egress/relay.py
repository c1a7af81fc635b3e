"""Runs inside a sandbox: a port of its loopback is a unix socket of the host. Standard library only.

    python -I relay.py SOCKET -- program argument…

Starts the program with every `{relay}` in its arguments and in its environment replaced by
`127.0.0.1:PORT`, and ends as it ends. Not imported by the rest of the package: it is a file that is
put into the sandbox.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading

CHUNK = 65_536
BACKLOG = 64
NAME = "{relay}"


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until the source ends; then say so to the sink."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def both_ways(client: socket.socket, path: str) -> None:
    """Join one client to the unix socket, until both have ended."""
    with client, socket.socket(socket.AF_UNIX) as host:
        try:
            host.connect(path)
        except OSError:
            return
        up = threading.Thread(target=pump, args=(client, host), daemon=True)
        up.start()
        pump(host, client)
        up.join()


def accept(listener: socket.socket, path: str) -> None:
    """Join every client that comes, each in a thread of its own."""
    while True:
        client, _ = listener.accept()
        threading.Thread(target=both_ways, args=(client, path), daemon=True).start()


def main(arguments: list[str]) -> int:
    """Listen, run the program, and return its exit status (128 and the signal that ended it)."""
    path, _, *command = arguments
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    threading.Thread(target=accept, args=(listener, path), daemon=True).start()
    here = f"127.0.0.1:{listener.getsockname()[1]}"
    environment = {key: value.replace(NAME, here) for key, value in os.environ.items()}
    words = [word.replace(NAME, here) for word in command]
    status = subprocess.run(words, env=environment, check=False).returncode  # noqa: S603 - what it is for
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main(sys.argv[1:]))
