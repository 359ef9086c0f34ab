-- Requests for another quota, and what is lent.

-- A tenant's own amounts may come of a plan's: which one that was, and what containers get that do not say themselves.
ALTER TABLE tenant_quotas ADD COLUMN origin TEXT COLLATE "C";
ALTER TABLE tenant_quotas ADD COLUMN defaults TEXT COLLATE "C";

CREATE TABLE quota_requests (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    cluster    TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('open', 'offered', 'approved', 'refused', 'withdrawn')),
    -- what was asked, with its evidence: never changes
    ask        TEXT COLLATE "C" NOT NULL,
    -- what was done: grows
    steps      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    version    BIGINT NOT NULL CHECK (version > 0)
);
CREATE INDEX quota_requests_by_tenant ON quota_requests (tenant_id, created_at);
CREATE INDEX quota_requests_by_state ON quota_requests (state);

CREATE TABLE quota_loans (
    request_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES quota_requests (id) ON DELETE CASCADE,
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    cluster    TEXT COLLATE "C" NOT NULL,
    namespace  TEXT COLLATE "C",
    -- how much is not given back yet
    resources  TEXT COLLATE "C" NOT NULL,
    ends_at    BIGINT NOT NULL,
    -- a rank: running, 72 hours before the end, 24 hours before it, overdue, ended
    stage      BIGINT NOT NULL CHECK (stage BETWEEN 0 AND 4)
);
CREATE INDEX quota_loans_by_tenant ON quota_loans (tenant_id, stage);
