-- Notices: what happened, until it is passed on; webhooks, and the messages to them.

CREATE TABLE webhooks (
    id               TEXT    NOT NULL PRIMARY KEY,
    -- absent: the platform's
    tenant_id        TEXT    REFERENCES tenants (id) ON DELETE CASCADE,
    name             TEXT    NOT NULL,
    url              TEXT    NOT NULL,
    -- `loan.ended quota.high`
    events           TEXT    NOT NULL,
    -- secrets, sealed; the one before the newest is good until `old_secret_until`
    secret           BLOB    NOT NULL,
    old_secret       BLOB,
    old_secret_until INTEGER,
    -- since when, by whom and why nothing is sent, as JSON; absent: it is on
    stopped          TEXT,
    failing_since    INTEGER,
    created_by       TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    version          INTEGER NOT NULL CHECK (version > 0)
) STRICT;
CREATE UNIQUE INDEX webhooks_by_name ON webhooks (COALESCE(tenant_id, ''), name);
CREATE INDEX webhooks_by_tenant ON webhooks (tenant_id);

-- The outbox: written with the change that it tells of.
CREATE TABLE notices (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- whose webhooks hear of it beside the platform's; absent: those alone
    tenant_id TEXT    REFERENCES tenants (id) ON DELETE CASCADE,
    body      TEXT    NOT NULL
) STRICT;
CREATE INDEX notices_by_tenant ON notices (tenant_id);

CREATE TABLE webhook_messages (
    id         TEXT    NOT NULL PRIMARY KEY,
    webhook_id TEXT    NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event      TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- when it is sent (again)
    next_at    INTEGER CHECK ((next_at IS NOT NULL) = (state = 'waiting')),
    -- what came of the last attempt, as JSON
    last       TEXT
) STRICT;
CREATE INDEX webhook_messages_by_hook ON webhook_messages (webhook_id, created_at);
CREATE INDEX webhook_messages_due ON webhook_messages (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX webhook_messages_by_age ON webhook_messages (created_at);

-- Namespaces whose quota is nearly used up.
CREATE TABLE quota_pressures (
    namespace_id TEXT    NOT NULL PRIMARY KEY REFERENCES namespaces (id) ON DELETE CASCADE,
    since        INTEGER NOT NULL,
    told         INTEGER NOT NULL CHECK (told IN (0, 1))
) STRICT;
