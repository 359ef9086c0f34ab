-- Who looked at the portal as whom: kept, as the person who was looked at sees it.
CREATE TABLE views (
    id         TEXT    NOT NULL PRIMARY KEY,
    -- The browser session that looks. It may be gone before the row is.
    session_id TEXT    NOT NULL,
    viewer_id  TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    viewed_id  TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    reason     TEXT    NOT NULL,
    begun_at   INTEGER NOT NULL,
    until_at   INTEGER NOT NULL,
    ended_at   INTEGER,
    ended_how  TEXT    CHECK ((ended_how IS NULL) = (ended_at IS NULL))
) STRICT;
-- One at a time in a session: none is nested.
CREATE UNIQUE INDEX views_open ON views (session_id) WHERE ended_at IS NULL;
CREATE INDEX views_by_viewed ON views (viewed_id, begun_at);
