-- Calls that a person has to approve. `binding` is what a redemption must equal in every part; `body` holds no
-- argument value; `sealed` is the call itself, encrypted, until the request is over. `state` is what the row says
-- of itself: an approval counts only with the signatures in `resolutions`.
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    binding BLOB NOT NULL,
    owner TEXT NOT NULL,
    server TEXT NOT NULL,
    state TEXT NOT NULL,
    expires INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT '',
    body TEXT NOT NULL,
    sealed BLOB
);

CREATE INDEX approvals_by_call ON approvals (binding, expires);

CREATE INDEX approvals_open ON approvals (owner, expires) WHERE state IN ('pending', 'approved');

-- What approvers answered, each at most once while a request is pending.
CREATE TABLE resolutions (
    approval TEXT NOT NULL,
    approver TEXT NOT NULL,
    verdict TEXT NOT NULL,
    note TEXT NOT NULL,
    at INTEGER NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (approval, approver)
) WITHOUT ROWID;
