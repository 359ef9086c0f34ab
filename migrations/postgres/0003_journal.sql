-- What was done, and replies that may be asked for again.

-- Names stand here as text without references: the log outlives what it tells of.
CREATE TABLE audit (
    id         BIGINT           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT           NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    via        TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    target     TEXT COLLATE "C" NOT NULL,
    tenant     TEXT COLLATE "C",
    outcome    TEXT COLLATE "C" NOT NULL CHECK (outcome IN ('done', 'denied', 'failed')),
    reason     TEXT COLLATE "C",
    -- a JSON document
    detail     TEXT COLLATE "C",
    request_id TEXT COLLATE "C" NOT NULL,
    network    TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_by_tenant ON audit (tenant, id);
CREATE INDEX audit_by_actor ON audit (actor, id);

CREATE TABLE idempotency_keys (
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key        TEXT COLLATE "C" NOT NULL,
    request    BYTEA            NOT NULL CHECK (length(request) = 32),
    created_at BIGINT           NOT NULL,
    -- the reply; all three absent while the first request is being answered
    status     BIGINT,
    headers    TEXT COLLATE "C",
    body       BYTEA,
    PRIMARY KEY (user_id, key),
    CHECK ((status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL))
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);
