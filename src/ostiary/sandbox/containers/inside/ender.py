"""Ends a run from within its container.

Arguments: the two halves of its mark, and how many seconds it may take.
"""

import os
import sys

from ostiary.sandbox.containers.inside.ending import end, places, remove

if __name__ == "__main__":
    run = sys.argv[1] + sys.argv[2]  # in halves, so that this process does not carry the mark itself
    left = end(run, float(sys.argv[3]), spared={1, os.getpid()})
    for place in places():
        remove(os.path.join(place, "ostiary-" + run))
    sys.exit(1 if left else 0)
