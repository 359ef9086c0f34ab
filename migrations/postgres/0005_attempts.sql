-- What is being tried right now: an entry of the log as it would be if nobody ever told how it ended.
CREATE TABLE audit_attempts (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at         BIGINT           NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    via        TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    target     TEXT COLLATE "C" NOT NULL,
    tenant     TEXT COLLATE "C",
    request_id TEXT COLLATE "C" NOT NULL,
    network    TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_attempts_by_time ON audit_attempts (at);

-- The same log, whose outcomes may be unknown.
ALTER TABLE audit DROP CONSTRAINT audit_outcome_check;
ALTER TABLE audit ADD CONSTRAINT audit_outcome_check CHECK (outcome IN ('done', 'denied', 'failed', 'unknown'));
