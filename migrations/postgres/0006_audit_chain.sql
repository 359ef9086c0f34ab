-- The log becomes a chain: each entry has a number without gaps and the hash of itself and the one before it. The hashes of
-- what is there already are filled in by the program, in the same transaction (`chain.rs`).
-- Older replicas may be at work: nobody appends between the reading and the table's end. In their order.
LOCK TABLE audit_attempts, audit IN ACCESS EXCLUSIVE MODE;
CREATE TABLE audit_6 (
    id         BIGINT           NOT NULL PRIMARY KEY,
    at         BIGINT           NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    via        TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    target     TEXT COLLATE "C" NOT NULL,
    tenant     TEXT COLLATE "C",
    outcome    TEXT COLLATE "C" NOT NULL CHECK (outcome IN ('done', 'denied', 'failed', 'unknown')),
    reason     TEXT COLLATE "C",
    -- a JSON document
    detail     TEXT COLLATE "C",
    request_id TEXT COLLATE "C" NOT NULL,
    network    TEXT COLLATE "C" NOT NULL,
    hash       BYTEA            NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO audit_6
SELECT row_number() OVER (ORDER BY id), at, actor, via, action, target, tenant, outcome, reason, detail, request_id, network,
       decode(repeat('00', 32), 'hex')
FROM audit;
DROP TABLE audit;
ALTER TABLE audit_6 RENAME TO audit;
ALTER INDEX audit_6_pkey RENAME TO audit_pkey;
CREATE INDEX audit_by_tenant ON audit (tenant, id);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_time ON audit (at);

-- Where the chain ends. Who appends locks this row.
CREATE TABLE audit_head (
    one  SMALLINT NOT NULL PRIMARY KEY CHECK (one = 1),
    id   BIGINT   NOT NULL,
    hash BYTEA    NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO audit_head (one, id, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));

-- Where it ended at some moments, signed.
CREATE TABLE audit_checkpoints (
    place     BIGINT           NOT NULL PRIMARY KEY,
    sequence  BIGINT           NOT NULL,
    hash      BYTEA            NOT NULL CHECK (length(hash) = 32),
    at        BIGINT           NOT NULL,
    key       TEXT COLLATE "C" NOT NULL,
    signature TEXT COLLATE "C" NOT NULL
);

-- A replica of an older version cannot write entries of a chain. Under another name it does not find this table, and refuses
-- changes before it makes them.
ALTER TABLE audit_attempts RENAME TO audit_begun;
