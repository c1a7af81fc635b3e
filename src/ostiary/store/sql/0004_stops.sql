-- Emergency stops, and when they were lifted. Rows are only added: of each scope (`kind`, `name`)
-- the newest one says whether it is stopped.
CREATE TABLE stops (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('on', 'off')),
    kind TEXT NOT NULL CHECK (kind IN ('all', 'grant', 'server')),
    name TEXT NOT NULL,
    who TEXT NOT NULL,
    reason TEXT NOT NULL
);

CREATE INDEX stops_by_scope ON stops (kind, name, number);

CREATE TRIGGER stops_are_not_edited BEFORE UPDATE ON stops BEGIN
    SELECT raise(ABORT, 'stops are only added');
END;

CREATE TRIGGER stops_are_not_removed BEFORE DELETE ON stops BEGIN
    SELECT raise(ABORT, 'stops are only added');
END;
