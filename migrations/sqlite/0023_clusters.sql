-- Clusters: the one of Berth's own configuration, and those that were registered.

CREATE TABLE clusters (
    id         TEXT    NOT NULL PRIMARY KEY,
    label      TEXT    NOT NULL,
    labels     TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('open', 'closed', 'draining')),
    -- all absent of the configured one
    server     TEXT,
    -- which cluster it is, whatever leads to it: none is registered twice
    identity   TEXT    UNIQUE,
    -- the kubeconfig; the key is a file of the machine
    sealed     BLOB,
    -- counts kubeconfigs: another one is another connection
    generation INTEGER,
    created_by TEXT,
    created_at INTEGER,
    -- what was found last
    probe      TEXT,
    version    INTEGER NOT NULL CHECK (version > 0),
    CHECK ((server IS NULL) = (sealed IS NULL) AND (server IS NULL) = (identity IS NULL)
        AND (server IS NULL) = (generation IS NULL) AND (server IS NULL) = (created_at IS NULL)
        AND (server IS NULL) = (created_by IS NULL))
) STRICT;

INSERT INTO clusters (id, label, labels, state, version) VALUES ('local', '', '{}', 'open', 1);
