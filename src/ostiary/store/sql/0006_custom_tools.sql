-- Tools that clients of code mode have stored. A name belongs to one owner, also after its tool was removed
-- (`newest` 0): a rule of a policy about it must never come to mean somebody else's. `last` counts versions.
CREATE TABLE custom_tools (
    name TEXT PRIMARY KEY,
    folded TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    newest INTEGER NOT NULL,
    last INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX custom_tools_by_owner ON custom_tools (owner);

-- Each version is written once. `body` is the definition without the code.
CREATE TABLE custom_tool_versions (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL,
    script TEXT NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TRIGGER custom_tool_versions_are_not_edited BEFORE UPDATE ON custom_tool_versions BEGIN
    SELECT raise(ABORT, 'versions of tools are only added');
END;

-- Servers that clients of code mode asked for. `headers` names variables of the environment and holds no secret.
CREATE TABLE server_requests (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    headers TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected')),
    at INTEGER NOT NULL,
    decided INTEGER NOT NULL DEFAULT 0,
    who TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    UNIQUE (owner, name, url, headers)
);

-- Grows with every change of the tables above, so that a look at one row tells whether there was any.
CREATE TABLE code_changes (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL
);

INSERT INTO code_changes VALUES (1, 0);
