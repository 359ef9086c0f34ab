-- What the platform tells everybody, on every page, for a while.

CREATE TABLE announcements (
    id         TEXT    NOT NULL PRIMARY KEY,
    level      TEXT    NOT NULL CHECK (level IN ('info', 'warning', 'critical')),
    text       TEXT    NOT NULL,
    starts_at  INTEGER NOT NULL,
    -- absent: until it is removed
    ends_at    INTEGER CHECK (ends_at > starts_at),
    on_sign_in INTEGER NOT NULL CHECK (on_sign_in IN (0, 1)),
    created_by TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT;

-- Who put which away, as it was then: one that was changed is shown again.
CREATE TABLE announcements_dismissed (
    user_id         TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    announcement_id TEXT    NOT NULL REFERENCES announcements (id) ON DELETE CASCADE,
    version         INTEGER NOT NULL,
    PRIMARY KEY (user_id, announcement_id)
) STRICT;
