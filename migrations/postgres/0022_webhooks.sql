-- Notices: what happened, until it is passed on; webhooks, and the messages to them.

CREATE TABLE webhooks (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- absent: the platform's
    tenant_id        TEXT COLLATE "C" REFERENCES tenants (id) ON DELETE CASCADE,
    name             TEXT COLLATE "C" NOT NULL,
    url              TEXT COLLATE "C" NOT NULL,
    -- `loan.ended quota.high`
    events           TEXT COLLATE "C" NOT NULL,
    -- secrets, sealed; the one before the newest is good until `old_secret_until`
    secret           BYTEA    NOT NULL,
    old_secret       BYTEA,
    old_secret_until BIGINT,
    -- since when, by whom and why nothing is sent, as JSON; absent: it is on
    stopped          TEXT COLLATE "C",
    failing_since    BIGINT,
    created_by       TEXT COLLATE "C" NOT NULL,
    created_at       BIGINT NOT NULL,
    version          BIGINT NOT NULL CHECK (version > 0)
);
CREATE UNIQUE INDEX webhooks_by_name ON webhooks (COALESCE(tenant_id, ''), name);
CREATE INDEX webhooks_by_tenant ON webhooks (tenant_id);

-- The outbox: written with the change that it tells of.
CREATE TABLE notices (
    id        BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- whose webhooks hear of it beside the platform's; absent: those alone
    tenant_id TEXT COLLATE "C" REFERENCES tenants (id) ON DELETE CASCADE,
    body      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX notices_by_tenant ON notices (tenant_id);

CREATE TABLE webhook_messages (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    webhook_id TEXT COLLATE "C" NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event      TEXT COLLATE "C" NOT NULL,
    body       TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- when it is sent (again)
    next_at    BIGINT CHECK ((next_at IS NOT NULL) = (state = 'waiting')),
    -- what came of the last attempt, as JSON
    last       TEXT COLLATE "C"
);
CREATE INDEX webhook_messages_by_hook ON webhook_messages (webhook_id, created_at);
CREATE INDEX webhook_messages_due ON webhook_messages (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX webhook_messages_by_age ON webhook_messages (created_at);

-- Namespaces whose quota is nearly used up.
CREATE TABLE quota_pressures (
    namespace_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES namespaces (id) ON DELETE CASCADE,
    since        BIGINT NOT NULL,
    told         BOOLEAN NOT NULL
);
