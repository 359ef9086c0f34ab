-- What was done, and replies that may be asked for again.

-- Names stand here as text without references: the log outlives what it tells of.
CREATE TABLE audit (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    via        TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    tenant     TEXT,
    outcome    TEXT    NOT NULL CHECK (outcome IN ('done', 'denied', 'failed')),
    reason     TEXT,
    -- a JSON document
    detail     TEXT,
    request_id TEXT    NOT NULL,
    network    TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_tenant ON audit (tenant, id);
CREATE INDEX audit_by_actor ON audit (actor, id);

CREATE TABLE idempotency_keys (
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key        TEXT    NOT NULL,
    request    BLOB    NOT NULL CHECK (length(request) = 32),
    created_at INTEGER NOT NULL,
    -- the reply; all three absent while the first request is being answered
    status     INTEGER,
    headers    TEXT,
    body       BLOB,
    PRIMARY KEY (user_id, key),
    CHECK ((status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL))
) STRICT;
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);
