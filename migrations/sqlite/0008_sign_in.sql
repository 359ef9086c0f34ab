-- Sign-in by identity providers.

CREATE TABLE identity_providers (
    id             TEXT    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL UNIQUE,
    display_name   TEXT    NOT NULL,
    -- with a subject it is somebody's identity: two providers of one issuer would be two doors to one account
    issuer         TEXT    NOT NULL UNIQUE,
    client_id      TEXT    NOT NULL,
    -- the name of a file, never the secret itself
    secret         TEXT,
    -- JSON arrays of text
    scopes         TEXT    NOT NULL,
    algorithms     TEXT    NOT NULL,
    group_claim    TEXT    NOT NULL,
    allowed_groups TEXT    NOT NULL,
    enabled        INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at     INTEGER NOT NULL,
    version        INTEGER NOT NULL CHECK (version > 0)
) STRICT;

-- Sign-ins that are under way. The secret is the browser's; state, nonce and verifier are made of it.
CREATE TABLE sign_in_attempts (
    digest      BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    provider_id TEXT    NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE,
    -- whose account shall be connected; absent for a sign-in
    user_id     TEXT    REFERENCES users (id) ON DELETE CASCADE,
    return_to   TEXT    NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_attempts_by_expiry ON sign_in_attempts (expires_at);

-- By issuer and not by provider: a provider that is removed and added again knows the same people.
CREATE TABLE identities (
    id           TEXT    NOT NULL PRIMARY KEY,
    issuer       TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email        TEXT,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    UNIQUE (issuer, subject)
) STRICT;
CREATE INDEX identities_by_user ON identities (user_id, created_at);

CREATE TABLE group_rules (
    id          TEXT    NOT NULL PRIMARY KEY,
    provider_id TEXT    NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE,
    group_name  TEXT    NOT NULL,
    tenant_id   TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    role        TEXT    NOT NULL CHECK (role IN ('admin', 'developer', 'viewer')),
    created_at  INTEGER NOT NULL,
    UNIQUE (provider_id, group_name, tenant_id)
) STRICT;

-- The provider whose rule made the membership; absent: a person did, and no rule changes it.
ALTER TABLE memberships ADD COLUMN provider_id TEXT REFERENCES identity_providers (id) ON DELETE CASCADE;

CREATE TABLE sign_in_settings (
    one            INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    local_accounts INTEGER NOT NULL CHECK (local_accounts IN (0, 1))
) STRICT;
INSERT INTO sign_in_settings (one, local_accounts) VALUES (1, 1);
