-- Roles in one namespace, beside those in the whole tenant; and requests for roles.

CREATE TABLE namespace_roles (
    namespace_id TEXT    NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role         TEXT    NOT NULL CHECK (role IN ('admin', 'developer', 'viewer')),
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX namespace_roles_by_user ON namespace_roles (user_id);

CREATE TABLE access_requests (
    id           TEXT    NOT NULL PRIMARY KEY,
    tenant_id    TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    -- absent: in the whole tenant
    namespace_id TEXT    REFERENCES namespaces (id) ON DELETE CASCADE,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role         TEXT    NOT NULL CHECK (role IN ('admin', 'developer', 'viewer')),
    reason       TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('open', 'approved', 'declined')),
    created_at   INTEGER NOT NULL,
    decided_by   TEXT    REFERENCES users (id) ON DELETE SET NULL,
    decided_at   INTEGER,
    comment      TEXT    NOT NULL
) STRICT;
CREATE INDEX access_requests_by_tenant ON access_requests (tenant_id, state, created_at);
CREATE INDEX access_requests_by_user ON access_requests (user_id, created_at);
-- One that waits a person and place.
CREATE UNIQUE INDEX access_requests_open ON access_requests (user_id, tenant_id, COALESCE(namespace_id, ''))
    WHERE state = 'open';
