-- Everything that was decided and done. `seq` counts all rows without a hole; `wseq`, `prev` and
-- `hash` are the chain of one writer. There is no index: one would cost more than the row.
CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    writer TEXT NOT NULL,
    wseq INTEGER NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL,
    id TEXT NOT NULL,
    ts INTEGER NOT NULL,
    kind TEXT NOT NULL,
    tool TEXT NOT NULL,
    decision TEXT NOT NULL,
    body TEXT NOT NULL
);

-- Counters, chain heads and calls without an outcome, as they were after row `seq`.
CREATE TABLE snapshots (
    seq INTEGER PRIMARY KEY,
    state BLOB NOT NULL,
    mac BLOB NOT NULL
);

-- Where the shared clock stood: one row.
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id TEXT NOT NULL,
    boot INTEGER NOT NULL,
    wall INTEGER NOT NULL
);

-- Signed statements of how long each chain was and where it ended.
CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    body TEXT NOT NULL,
    signature BLOB NOT NULL
);

-- The process that last wrote as each writer. Whether it lives is known by its file lock alone.
CREATE TABLE instances (
    id TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER
);
