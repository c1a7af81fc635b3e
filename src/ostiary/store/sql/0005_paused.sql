-- Runs of code that wait for a person. `sealed` is encrypted and bound to `id` and `owner`; who goes on
-- with a run takes its row out, and only one can.
CREATE TABLE paused (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    until INTEGER NOT NULL,
    sealed BLOB NOT NULL
);

CREATE INDEX paused_by_owner ON paused (owner, until);
