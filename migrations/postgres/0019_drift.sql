-- What in namespaces was not as Berth keeps it.
CREATE TABLE drifts (
    namespace_id TEXT COLLATE "C" NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    object       TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,
    by_whom      TEXT,
    first_at     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    times        BIGINT NOT NULL,
    PRIMARY KEY (namespace_id, object, kind)
);
CREATE INDEX drifts_by_kind ON drifts (kind, namespace_id);
