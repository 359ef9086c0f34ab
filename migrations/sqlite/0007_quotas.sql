-- Plans, what tenants may have, and what their namespaces have of it. Amounts are JSON objects of Kubernetes' quantities.

CREATE TABLE plans (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    display_name TEXT    NOT NULL,
    resources    TEXT    NOT NULL,
    -- what containers get that do not say themselves
    defaults     TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    version      INTEGER NOT NULL CHECK (version > 0)
) STRICT;

-- A tenant without a row is not limited on that cluster.
CREATE TABLE tenant_quotas (
    tenant_id  TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    cluster    TEXT    NOT NULL,
    plan_id    TEXT    REFERENCES plans (id),
    resources  TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, cluster),
    -- a plan's, or its own
    CHECK ((plan_id IS NULL) <> (resources IS NULL))
) STRICT;
CREATE INDEX tenant_quotas_by_plan ON tenant_quotas (plan_id);

-- A namespace without a row was given nothing.
CREATE TABLE namespace_quotas (
    namespace_id TEXT    NOT NULL PRIMARY KEY REFERENCES namespaces (id) ON DELETE CASCADE,
    resources    TEXT    NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
