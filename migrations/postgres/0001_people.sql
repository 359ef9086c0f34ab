-- People and what proves who they are. Times are microseconds since 1970 UTC, ids are hyphenated UUIDs.
-- Text is COLLATE "C": sorted and compared by bytes as SQLite does, whatever the locale of the server.

CREATE TABLE users (
    id                   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name                 TEXT COLLATE "C" NOT NULL UNIQUE,
    display_name         TEXT COLLATE "C" NOT NULL,
    -- name and display name in lower case: what `q` searches, the same on both databases
    search               TEXT COLLATE "C" NOT NULL,
    platform_role        TEXT COLLATE "C" CHECK (platform_role IN ('admin', 'auditor')),
    password_hash        TEXT COLLATE "C",
    disabled             BOOLEAN          NOT NULL,
    must_change_password BOOLEAN          NOT NULL,
    created_at           BIGINT           NOT NULL
);
CREATE INDEX users_by_created ON users (created_at, name);

CREATE TABLE sessions (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest       BYTEA            NOT NULL UNIQUE CHECK (length(digest) = 32),
    user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   BIGINT           NOT NULL,
    last_seen_at BIGINT           NOT NULL,
    expires_at   BIGINT           NOT NULL,
    user_agent   TEXT COLLATE "C" NOT NULL,
    network      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE tokens (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest       BYTEA            NOT NULL UNIQUE CHECK (length(digest) = 32),
    user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT COLLATE "C" NOT NULL,
    prefix       TEXT COLLATE "C" NOT NULL,
    read_only    BOOLEAN          NOT NULL,
    tenant       TEXT COLLATE "C",
    namespace    TEXT COLLATE "C" CHECK (namespace IS NULL OR tenant IS NOT NULL),
    created_at   BIGINT           NOT NULL,
    expires_at   BIGINT           NOT NULL,
    last_used_at BIGINT,
    UNIQUE (user_id, name)
);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

CREATE TABLE sign_in_failures (
    key     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    count   BIGINT           NOT NULL CHECK (count > 0),
    last_at BIGINT           NOT NULL
);
CREATE INDEX sign_in_failures_by_time ON sign_in_failures (last_at);
