-- Links that bring somebody in once: only digests of their secrets are here.

CREATE TABLE invitations (
    id          TEXT    NOT NULL PRIMARY KEY,
    digest      BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- absent: onto the platform alone
    tenant_id   TEXT    REFERENCES tenants (id) ON DELETE CASCADE,
    role        TEXT    CHECK (role IN ('owner', 'admin', 'developer', 'viewer')),
    email       TEXT,
    invited_by  TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    accepted_at INTEGER,
    accepted_by TEXT    REFERENCES users (id) ON DELETE SET NULL,
    revoked_at  INTEGER,
    CHECK ((tenant_id IS NULL) = (role IS NULL))
) STRICT;
CREATE INDEX invitations_by_tenant ON invitations (tenant_id, created_at);
CREATE INDEX invitations_by_expiry ON invitations (expires_at);

-- One a person: a newer one takes the place of the last.
CREATE TABLE password_resets (
    user_id    TEXT    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    digest     BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;
