-- Roles that tenants make for themselves.

CREATE TABLE custom_roles (
    tenant_id    TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL CHECK (name NOT IN ('owner', 'admin', 'developer', 'viewer')),
    display_name TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    -- `app.create app.update`
    actions      TEXT    NOT NULL,
    -- `developer on-call`
    includes     TEXT    NOT NULL,
    -- all that follows from these two, written with them: what every check reads
    rights       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    version      INTEGER NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- A role is one that every tenant has, or the name of one of the tenant's own. Only tenants have owners. SQLite cannot change a
-- CHECK: tables are made anew.
CREATE TABLE memberships_19 (
    tenant_id   TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    user_id     TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    -- The provider whose rule made the membership; absent: a person did, and no rule changes it.
    provider_id TEXT    REFERENCES identity_providers (id) ON DELETE CASCADE,
    PRIMARY KEY (tenant_id, user_id)
) STRICT, WITHOUT ROWID;
INSERT INTO memberships_19 SELECT tenant_id, user_id, role, created_at, provider_id FROM memberships;
DROP TABLE memberships;
ALTER TABLE memberships_19 RENAME TO memberships;
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE namespace_roles_19 (
    namespace_id TEXT    NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role         TEXT    NOT NULL CHECK (role <> 'owner'),
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, user_id)
) STRICT, WITHOUT ROWID;
INSERT INTO namespace_roles_19 SELECT namespace_id, user_id, role, created_at FROM namespace_roles;
DROP TABLE namespace_roles;
ALTER TABLE namespace_roles_19 RENAME TO namespace_roles;
CREATE INDEX namespace_roles_by_user ON namespace_roles (user_id);

CREATE TABLE group_rules_19 (
    id          TEXT    NOT NULL PRIMARY KEY,
    provider_id TEXT    NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE,
    group_name  TEXT    NOT NULL,
    tenant_id   TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    role        TEXT    NOT NULL CHECK (role <> 'owner'),
    created_at  INTEGER NOT NULL,
    UNIQUE (provider_id, group_name, tenant_id)
) STRICT;
INSERT INTO group_rules_19 SELECT id, provider_id, group_name, tenant_id, role, created_at FROM group_rules;
DROP TABLE group_rules;
ALTER TABLE group_rules_19 RENAME TO group_rules;

CREATE TABLE access_requests_19 (
    id           TEXT    NOT NULL PRIMARY KEY,
    tenant_id    TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    -- absent: in the whole tenant
    namespace_id TEXT    REFERENCES namespaces (id) ON DELETE CASCADE,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role         TEXT    NOT NULL CHECK (role <> 'owner'),
    reason       TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('open', 'approved', 'declined')),
    created_at   INTEGER NOT NULL,
    decided_by   TEXT    REFERENCES users (id) ON DELETE SET NULL,
    decided_at   INTEGER,
    comment      TEXT    NOT NULL
) STRICT;
INSERT INTO access_requests_19 SELECT id, tenant_id, namespace_id, user_id, role, reason, state, created_at, decided_by, decided_at,
    comment FROM access_requests;
DROP TABLE access_requests;
ALTER TABLE access_requests_19 RENAME TO access_requests;
CREATE INDEX access_requests_by_tenant ON access_requests (tenant_id, state, created_at);
CREATE INDEX access_requests_by_user ON access_requests (user_id, created_at);
-- One that waits a person and place.
CREATE UNIQUE INDEX access_requests_open ON access_requests (user_id, tenant_id, COALESCE(namespace_id, ''))
    WHERE state = 'open';

CREATE TABLE invitations_19 (
    id          TEXT    NOT NULL PRIMARY KEY,
    digest      BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- absent: onto the platform alone
    tenant_id   TEXT    REFERENCES tenants (id) ON DELETE CASCADE,
    role        TEXT,
    email       TEXT,
    invited_by  TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    accepted_at INTEGER,
    accepted_by TEXT    REFERENCES users (id) ON DELETE SET NULL,
    revoked_at  INTEGER,
    CHECK ((tenant_id IS NULL) = (role IS NULL))
) STRICT;
INSERT INTO invitations_19 SELECT id, digest, tenant_id, role, email, invited_by, created_at, expires_at, accepted_at, accepted_by,
    revoked_at FROM invitations;
DROP TABLE invitations;
ALTER TABLE invitations_19 RENAME TO invitations;
CREATE INDEX invitations_by_tenant ON invitations (tenant_id, created_at);
CREATE INDEX invitations_by_expiry ON invitations (expires_at);
