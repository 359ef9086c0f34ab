-- Roles in one namespace, beside those in the whole tenant; and requests for roles.

CREATE TABLE namespace_roles (
    namespace_id TEXT COLLATE "C" NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role         TEXT COLLATE "C" NOT NULL CHECK (role IN ('admin', 'developer', 'viewer')),
    created_at   BIGINT           NOT NULL,
    PRIMARY KEY (namespace_id, user_id)
);
CREATE INDEX namespace_roles_by_user ON namespace_roles (user_id);

CREATE TABLE access_requests (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id    TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    -- absent: in the whole tenant
    namespace_id TEXT COLLATE "C" REFERENCES namespaces (id) ON DELETE CASCADE,
    user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role         TEXT COLLATE "C" NOT NULL CHECK (role IN ('admin', 'developer', 'viewer')),
    reason       TEXT COLLATE "C" NOT NULL,
    state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('open', 'approved', 'declined')),
    created_at   BIGINT NOT NULL,
    decided_by   TEXT COLLATE "C" REFERENCES users (id) ON DELETE SET NULL,
    decided_at   BIGINT,
    comment      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX access_requests_by_tenant ON access_requests (tenant_id, state, created_at);
CREATE INDEX access_requests_by_user ON access_requests (user_id, created_at);
-- One that waits a person and place.
CREATE UNIQUE INDEX access_requests_open ON access_requests (user_id, tenant_id, COALESCE(namespace_id, ''))
    WHERE state = 'open';
