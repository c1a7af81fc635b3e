"""Runs inside a box, as a process that forks a walled-off child for each job would.

    zygote.py SIZE CODE [NAME]...

runs CODE in a child that has put up every wall but those named, and leaves with its status.
"""

import importlib
import os
import sys
import traceback

sys.path.insert(0, "/given")

confine = importlib.import_module("confine")


def main() -> None:
    size, code, *left_out = sys.argv[1:]
    program = open("/given/filter", "rb").read()  # noqa: SIM115, PTH123 - read before any wall stands
    confine.keep_to_itself()
    confine.enter_namespaces()
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255)
    confine.mount_private(int(size))
    confine.hide(["/given", "/etc/passwd"])
    confine.bound(file_bytes=1 << 24, open_files=64, cpu_seconds=30, address_space=None)
    confine.drop_capabilities()
    if "landlock" not in left_out:
        confine.restrict_files(readable=["/python", "/lib", "/proc", "/bin"], writable=["/work", "/dev/null"])
    if "filter" not in left_out:
        confine.load_filter(program)
    try:
        exec(code, {"left_out": left_out})
    except BaseException:  # noqa: BLE001 - whatever the code does, it is told
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


main()
