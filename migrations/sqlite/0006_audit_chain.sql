-- The log becomes a chain: each entry has a number without gaps and the hash of itself and the one before it. The hashes of
-- what is there already are filled in by the program, in the same transaction (`chain.rs`).
CREATE TABLE audit_6 (
    id         INTEGER NOT NULL PRIMARY KEY,
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
    network    TEXT    NOT NULL,
    hash       BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO audit_6
SELECT row_number() OVER (ORDER BY id), at, actor, via, action, target, tenant, outcome, reason, detail, request_id, network, zeroblob(32)
FROM audit;
DROP TABLE audit;
ALTER TABLE audit_6 RENAME TO audit;
CREATE INDEX audit_by_tenant ON audit (tenant, id);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_time ON audit (at);

-- Where the chain ends. Who appends locks this row.
CREATE TABLE audit_head (
    one  INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id   INTEGER NOT NULL,
    hash BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO audit_head (one, id, hash) VALUES (1, 0, zeroblob(32));

-- Where it ended at some moments, signed.
CREATE TABLE audit_checkpoints (
    place     INTEGER NOT NULL PRIMARY KEY,
    sequence  INTEGER NOT NULL,
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    at        INTEGER NOT NULL,
    key       TEXT    NOT NULL,
    signature TEXT    NOT NULL
) STRICT;

-- A replica of an older version cannot write entries of a chain. Under another name it does not find this table, and refuses
-- changes before it makes them.
ALTER TABLE audit_attempts RENAME TO audit_begun;
