"""Unpacks a tar from stdin into a folder, its one argument: files and folders within it, and nothing else."""

import os
import sys
import tarfile

if __name__ == "__main__":
    target = os.path.realpath(sys.argv[1])
    os.makedirs(target, exist_ok=True)
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for member in archive:
            path = os.path.realpath(os.path.join(target, member.name))
            if not (member.isfile() or member.isdir()) or not (path + os.sep).startswith(target + os.sep):
                sys.exit("what was sent holds %r" % member.name)
            archive.extract(member, target)
