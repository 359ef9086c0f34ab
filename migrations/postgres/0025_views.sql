-- Who looked at the portal as whom: kept, as the person who was looked at sees it.
CREATE TABLE views (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- The browser session that looks. It may be gone before the row is.
    session_id TEXT COLLATE "C" NOT NULL,
    viewer_id  TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    viewed_id  TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    reason     TEXT NOT NULL,
    begun_at   BIGINT NOT NULL,
    until_at   BIGINT NOT NULL,
    ended_at   BIGINT,
    ended_how  TEXT COLLATE "C" CHECK ((ended_how IS NULL) = (ended_at IS NULL))
);
-- One at a time in a session: none is nested.
CREATE UNIQUE INDEX views_open ON views (session_id) WHERE ended_at IS NULL;
CREATE INDEX views_by_viewed ON views (viewed_id, begun_at);
