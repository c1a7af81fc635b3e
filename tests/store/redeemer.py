"""A process that redeems approvals; run by tests as `python redeemer.py STATE NAME PUBLIC-KEYS`.

`PUBLIC-KEYS` is JSON: names of approvers, and their keys in hex. Each line of input is the content
of a call; each is answered by the kind of answer that the store gave, and the approval it names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ostiary.approvals.statement import trustworthy
from ostiary.store.clock import BootClock
from tests.store.asking import Office, entry
from tests.store.writing import World


def main(folder: str, name: str, keys: str) -> None:
    known = {who: bytes.fromhex(key) for who, key in json.loads(keys).items()}
    with Office.opened(World(Path(folder)), clock=BootClock()) as office:
        office.store.approvals.trust = lambda standing: trustworthy(standing, known)
        print("ready", flush=True)
        for number, line in enumerate(sys.stdin):
            asked = office.ask(line.strip().encode(), id=f"apr_{name}_{number}")
            reply = office.store.commit([entry(asked)], wait_ms=5_000)[0]
            print(type(reply).__name__, getattr(reply, "id", ""), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
