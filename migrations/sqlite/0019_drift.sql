-- What in namespaces was not as Berth keeps it.
CREATE TABLE drifts (
    namespace_id TEXT    NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    object       TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    by_whom      TEXT,
    first_at     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    times        INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, object, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX drifts_by_kind ON drifts (kind, namespace_id);
