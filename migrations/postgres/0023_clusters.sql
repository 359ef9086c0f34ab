-- Clusters: the one of Berth's own configuration, and those that were registered.

CREATE TABLE clusters (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    label      TEXT COLLATE "C" NOT NULL,
    labels     TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('open', 'closed', 'draining')),
    -- all absent of the configured one
    server     TEXT COLLATE "C",
    -- which cluster it is, whatever leads to it: none is registered twice
    identity   TEXT COLLATE "C" UNIQUE,
    -- the kubeconfig; the key is a file of the machine
    sealed     BYTEA,
    -- counts kubeconfigs: another one is another connection
    generation BIGINT,
    created_by TEXT COLLATE "C",
    created_at BIGINT,
    -- what was found last
    probe      TEXT COLLATE "C",
    version    BIGINT NOT NULL CHECK (version > 0),
    CHECK ((server IS NULL) = (sealed IS NULL) AND (server IS NULL) = (identity IS NULL)
        AND (server IS NULL) = (generation IS NULL) AND (server IS NULL) = (created_at IS NULL)
        AND (server IS NULL) = (created_by IS NULL))
);

INSERT INTO clusters (id, label, labels, state, version) VALUES ('local', '', '{}', 'open', 1);
