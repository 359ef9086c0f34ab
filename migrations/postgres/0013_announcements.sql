-- What the platform tells everybody, on every page, for a while.

CREATE TABLE announcements (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    level      TEXT COLLATE "C" NOT NULL CHECK (level IN ('info', 'warning', 'critical')),
    text       TEXT COLLATE "C" NOT NULL,
    starts_at  BIGINT NOT NULL,
    -- absent: until it is removed
    ends_at    BIGINT CHECK (ends_at > starts_at),
    on_sign_in BOOLEAN NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    version    BIGINT NOT NULL
);

-- Who put which away, as it was then: one that was changed is shown again.
CREATE TABLE announcements_dismissed (
    user_id         TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    announcement_id TEXT COLLATE "C" NOT NULL REFERENCES announcements (id) ON DELETE CASCADE,
    version         BIGINT NOT NULL,
    PRIMARY KEY (user_id, announcement_id)
);
