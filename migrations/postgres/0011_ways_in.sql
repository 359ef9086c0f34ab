-- Links that bring somebody in once: only digests of their secrets are here.

CREATE TABLE invitations (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest      BYTEA  NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- absent: onto the platform alone
    tenant_id   TEXT COLLATE "C" REFERENCES tenants (id) ON DELETE CASCADE,
    role        TEXT COLLATE "C" CHECK (role IN ('owner', 'admin', 'developer', 'viewer')),
    email       TEXT COLLATE "C",
    invited_by  TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    accepted_at BIGINT,
    accepted_by TEXT COLLATE "C" REFERENCES users (id) ON DELETE SET NULL,
    revoked_at  BIGINT,
    CHECK ((tenant_id IS NULL) = (role IS NULL))
);
CREATE INDEX invitations_by_tenant ON invitations (tenant_id, created_at);
CREATE INDEX invitations_by_expiry ON invitations (expires_at);

-- One a person: a newer one takes the place of the last.
CREATE TABLE password_resets (
    user_id    TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    digest     BYTEA  NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
