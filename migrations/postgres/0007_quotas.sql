-- Plans, what tenants may have, and what their namespaces have of it. Amounts are JSON objects of Kubernetes' quantities.

CREATE TABLE plans (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL UNIQUE,
    display_name TEXT COLLATE "C" NOT NULL,
    resources    TEXT COLLATE "C" NOT NULL,
    -- what containers get that do not say themselves
    defaults     TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    version      BIGINT NOT NULL CHECK (version > 0)
);

-- A tenant without a row is not limited on that cluster.
CREATE TABLE tenant_quotas (
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    cluster    TEXT COLLATE "C" NOT NULL,
    plan_id    TEXT COLLATE "C" REFERENCES plans (id),
    resources  TEXT COLLATE "C",
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, cluster),
    -- a plan's, or its own
    CHECK ((plan_id IS NULL) <> (resources IS NULL))
);
CREATE INDEX tenant_quotas_by_plan ON tenant_quotas (plan_id);

-- A namespace without a row was given nothing.
CREATE TABLE namespace_quotas (
    namespace_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES namespaces (id) ON DELETE CASCADE,
    resources    TEXT COLLATE "C" NOT NULL,
    updated_at   BIGINT NOT NULL
);
