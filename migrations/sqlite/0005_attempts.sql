-- What is being tried right now: an entry of the log as it would be if nobody ever told how it ended.
CREATE TABLE audit_attempts (
    id         TEXT    NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    via        TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    tenant     TEXT,
    request_id TEXT    NOT NULL,
    network    TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_attempts_by_time ON audit_attempts (at);

-- The same log, whose outcomes may be unknown.
CREATE TABLE audit_5 (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    via        TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    tenant     TEXT,
    outcome    TEXT    NOT NULL CHECK (outcome IN ('done', 'denied', 'failed', 'unknown')),
    reason     TEXT,
    -- a JSON document
    detail     TEXT,
    request_id TEXT    NOT NULL,
    network    TEXT    NOT NULL
) STRICT;
INSERT INTO audit_5 SELECT id, at, actor, via, action, target, tenant, outcome, reason, detail, request_id, network FROM audit;
DROP TABLE audit;
ALTER TABLE audit_5 RENAME TO audit;
CREATE INDEX audit_by_tenant ON audit (tenant, id);
CREATE INDEX audit_by_actor ON audit (actor, id);
