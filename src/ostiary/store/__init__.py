"""The durable store: one SQLite file in a private state directory.

`state` finds and guards the directory, `keys` and `clock` belong to it. `sqlite` is the
transaction everything else serves: reserve, record, commit. `tick` runs it once per tick of an
event loop, `view` is what memory knows of the journal, `upkeep` syncs, checks the disk and signs
checkpoints beside it, `handles` keeps what outlives a session, `instances` tells live processes
from dead ones. `query` and `verify` read.

`notice` tells whether another process has committed anything. `stops` are the emergency stops in
force, `switching` sets and lifts them, `lifting` says who may. `custom_tools` and `server_requests` are
what clients of code mode keep and ask for, `code_shelf` both as a gate uses them; `aside` is how
commands write beside running gates.
"""
