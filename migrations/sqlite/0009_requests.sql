-- Requests for another quota, and what is lent.

-- A tenant's own amounts may come of a plan's: which one that was, and what containers get that do not say themselves.
ALTER TABLE tenant_quotas ADD COLUMN origin TEXT;
ALTER TABLE tenant_quotas ADD COLUMN defaults TEXT;

CREATE TABLE quota_requests (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    cluster    TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('open', 'offered', 'approved', 'refused', 'withdrawn')),
    -- what was asked, with its evidence: never changes
    ask        TEXT    NOT NULL,
    -- what was done: grows
    steps      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0)
) STRICT;
CREATE INDEX quota_requests_by_tenant ON quota_requests (tenant_id, created_at);
CREATE INDEX quota_requests_by_state ON quota_requests (state);

CREATE TABLE quota_loans (
    request_id TEXT    NOT NULL PRIMARY KEY REFERENCES quota_requests (id) ON DELETE CASCADE,
    tenant_id  TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    cluster    TEXT    NOT NULL,
    namespace  TEXT,
    -- how much is not given back yet
    resources  TEXT    NOT NULL,
    ends_at    INTEGER NOT NULL,
    -- a rank: running, 72 hours before the end, 24 hours before it, overdue, ended
    stage      INTEGER NOT NULL CHECK (stage BETWEEN 0 AND 4)
) STRICT;
CREATE INDEX quota_loans_by_tenant ON quota_loans (tenant_id, stage);
