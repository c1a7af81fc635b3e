"""The first lines of the warm interpreter, given to it with `-c`: everything else comes by socket.

So nothing of this installation has to be readable behind the walls, and no path leads back here.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from types import ModuleType
from typing import Any


def load(modules: list[tuple[str, str]]) -> None:
    """Make modules from (name, source), in the order in which they import each other."""
    for name, source in modules:
        module = ModuleType(name)
        module.__path__ = []
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
        exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - our own text


def main(control: socket.socket) -> None:
    """Take the modules and the settings, and become what they say."""
    with control.makefile("rb", buffering=0) as stream:
        length = struct.unpack("!I", stream.read(4))[0]
        text = b""
        while len(text) < length:
            text += stream.read(length - len(text))
    message: dict[str, Any] = json.loads(text)
    load(message["modules"])
    sys.modules[message["start"]].main(control, message["settings"])


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
