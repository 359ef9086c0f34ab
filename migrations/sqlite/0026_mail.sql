-- Where people get mail, and mail until it is sent.

CREATE TABLE mailboxes (
    user_id     TEXT    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- shown to be theirs; absent: nothing is sent
    address     TEXT,
    verified_at INTEGER CHECK ((verified_at IS NULL) = (address IS NULL)),
    -- another one, to which a link was sent: the digest of its secret, and when it ends
    pending     TEXT,
    digest      BLOB    CHECK ((digest IS NULL) = (pending IS NULL)),
    expires_at  INTEGER CHECK ((expires_at IS NULL) = (pending IS NULL)),
    language    TEXT    NOT NULL,
    -- `loan.ended quota.high`, of what they do not want to hear; absent: they never chose
    muted       TEXT,
    -- mail that was left out since they were told how much
    dropped     INTEGER NOT NULL CHECK (dropped >= 0)
) STRICT;
CREATE UNIQUE INDEX mailboxes_by_digest ON mailboxes (digest) WHERE digest IS NOT NULL;

CREATE TABLE mails (
    id         TEXT    NOT NULL PRIMARY KEY,
    -- absent: to somebody without an account
    user_id    TEXT    REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    -- while it waits alone
    address    TEXT    CHECK ((address IS NOT NULL) = (state = 'waiting')),
    -- subject and text, sealed
    sealed     BLOB    CHECK ((sealed IS NOT NULL) = (state = 'waiting')),
    attempts   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- it is not tried again after that
    until_at   INTEGER NOT NULL,
    -- when it is sent (again)
    next_at    INTEGER CHECK ((next_at IS NOT NULL) = (state = 'waiting')),
    -- when it was tried last, and why it was not taken then
    tried_at   INTEGER,
    trouble    TEXT
) STRICT;
CREATE INDEX mails_by_user ON mails (user_id, created_at);
CREATE INDEX mails_due ON mails (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX mails_by_age ON mails (created_at);
