-- Roles that tenants make for themselves.

CREATE TABLE custom_roles (
    tenant_id    TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name         TEXT COLLATE "C" NOT NULL CHECK (name NOT IN ('owner', 'admin', 'developer', 'viewer')),
    display_name TEXT COLLATE "C" NOT NULL,
    description  TEXT COLLATE "C" NOT NULL,
    -- `app.create app.update`
    actions      TEXT COLLATE "C" NOT NULL,
    -- `developer on-call`
    includes     TEXT COLLATE "C" NOT NULL,
    -- all that follows from these two, written with them: what every check reads
    rights       TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT           NOT NULL,
    version      BIGINT           NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant_id, name)
);

-- A role is one that every tenant has, or the name of one of the tenant's own. Only tenants have owners.
ALTER TABLE memberships DROP CONSTRAINT memberships_role_check;
ALTER TABLE namespace_roles DROP CONSTRAINT namespace_roles_role_check;
ALTER TABLE namespace_roles ADD CONSTRAINT namespace_roles_role_check CHECK (role <> 'owner');
ALTER TABLE group_rules DROP CONSTRAINT group_rules_role_check;
ALTER TABLE group_rules ADD CONSTRAINT group_rules_role_check CHECK (role <> 'owner');
ALTER TABLE access_requests DROP CONSTRAINT access_requests_role_check;
ALTER TABLE access_requests ADD CONSTRAINT access_requests_role_check CHECK (role <> 'owner');
ALTER TABLE invitations DROP CONSTRAINT invitations_role_check;
