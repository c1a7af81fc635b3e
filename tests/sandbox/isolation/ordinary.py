"""A script that root starts: it becomes an ordinary user, and does what a gate of that user would.

    ordinary.py PLACE PATH ROOT [deny]

prints one JSON document. With `deny` a filter first takes the right to make user namespaces away,
as a machine that refuses them would. Everything is imported first: that user cannot read it.
"""

import encodings.idna  # noqa: F401 - loaded before its file is out of reach
import json
import os
import subprocess
import sys

from ostiary.errors import OstiaryError
from ostiary.sandbox.isolation import confine
from ostiary.sandbox.isolation.box import Box
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.root import Root
from ostiary.sandbox.isolation.seccomp import build_filter
from ostiary.sandbox.isolation.walls import Walls

USER = 12345
CODE = """
import os, resource
status = open('/proc/self/status').read()
print(os.getuid(), status.split('Seccomp:')[1][:3].strip(), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
try: os.fork()
except OSError as error: print(error.errno)
"""


def main() -> None:
    place, path, root, *deny = sys.argv[1:]
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
    if deny:
        confine.load_filter(build_filter(arch=os.uname().machine, processes=True, sockets="unix"))
    found = probe({"PATH": path, "OSTIARY_CACHE_DIR": place})
    print(json.dumps(told(found, json.loads(root))))


def told(found, root):
    answer = {
        "layers": {layer.name: [layer.found, layer.why, layer.remedy] for layer in found.layers()},
        "users": found.uids is not None,
    }
    try:
        walls = Walls.decide("strict", found)
    except OstiaryError as error:
        return answer | {"refused": [error.message, error.hint]}
    root = Root(**root | {"programs": ()})
    box = Box(
        command=(root.python, "-I", "-c", CODE), root=root, cell=walls.cells.take(), open_files=77,
        seccomp=walls.filter(processes=True, sockets="unix"),
    )  # fmt: skip
    process = walls.start(box, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=30)
    return answer | {"missing": walls.report.missing, "out": out.decode(), "err": err.decode()}


main()
