-- Where people get mail, and mail until it is sent.

CREATE TABLE mailboxes (
    user_id     TEXT COLLATE "C"    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- shown to be theirs; absent: nothing is sent
    address     TEXT COLLATE "C",
    verified_at BIGINT  CHECK ((verified_at IS NULL) = (address IS NULL)),
    -- another one, to which a link was sent: the digest of its secret, and when it ends
    pending     TEXT COLLATE "C",
    digest      BYTEA   CHECK ((digest IS NULL) = (pending IS NULL)),
    expires_at  BIGINT  CHECK ((expires_at IS NULL) = (pending IS NULL)),
    language    TEXT COLLATE "C"    NOT NULL,
    -- `loan.ended quota.high`, of what they do not want to hear; absent: they never chose
    muted       TEXT COLLATE "C",
    -- mail that was left out since they were told how much
    dropped     BIGINT  NOT NULL CHECK (dropped >= 0)
);
CREATE UNIQUE INDEX mailboxes_by_digest ON mailboxes (digest) WHERE digest IS NOT NULL;

CREATE TABLE mails (
    id         TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    -- absent: to somebody without an account
    user_id    TEXT COLLATE "C"    REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT COLLATE "C"    NOT NULL,
    state      TEXT COLLATE "C"    NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    -- while it waits alone
    address    TEXT COLLATE "C"    CHECK ((address IS NOT NULL) = (state = 'waiting')),
    -- subject and text, sealed
    sealed     BYTEA   CHECK ((sealed IS NOT NULL) = (state = 'waiting')),
    attempts   BIGINT  NOT NULL,
    created_at BIGINT  NOT NULL,
    -- it is not tried again after that
    until_at   BIGINT  NOT NULL,
    -- when it is sent (again)
    next_at    BIGINT  CHECK ((next_at IS NOT NULL) = (state = 'waiting')),
    -- when it was tried last, and why it was not taken then
    tried_at   BIGINT ,
    trouble    TEXT COLLATE "C"
);
CREATE INDEX mails_by_user ON mails (user_id, created_at);
CREATE INDEX mails_due ON mails (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX mails_by_age ON mails (created_at);
