-- What upstreams issued (task ids, states, places in streams), and what is known of requests and
-- sessions that outlive this process. `key` is a keyed digest that covers the grant, so nothing
-- here can be used, and a row of one grant is not found by another.
CREATE TABLE handles (
    key BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;

CREATE INDEX handles_by_age ON handles (kind, owner, at);

-- The newest event ids of each session, in a ring (its row in `handles`): `number` counts them, `slot` is where one lies.
CREATE TABLE events (
    ring BLOB NOT NULL,
    slot INTEGER NOT NULL,
    number INTEGER NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (ring, slot)
) WITHOUT ROWID;

CREATE TRIGGER events_of_a_ring AFTER DELETE ON handles WHEN old.kind = 'ring' BEGIN
    DELETE FROM events WHERE ring = old.key;
END;
