-- Sign-in by identity providers.

CREATE TABLE identity_providers (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name           TEXT COLLATE "C" NOT NULL UNIQUE,
    display_name   TEXT COLLATE "C" NOT NULL,
    -- with a subject it is somebody's identity: two providers of one issuer would be two doors to one account
    issuer         TEXT COLLATE "C" NOT NULL UNIQUE,
    client_id      TEXT COLLATE "C" NOT NULL,
    -- the name of a file, never the secret itself
    secret         TEXT COLLATE "C",
    -- JSON arrays of text
    scopes         TEXT COLLATE "C" NOT NULL,
    algorithms     TEXT COLLATE "C" NOT NULL,
    group_claim    TEXT COLLATE "C" NOT NULL,
    allowed_groups TEXT COLLATE "C" NOT NULL,
    enabled        BOOLEAN NOT NULL,
    created_at     BIGINT NOT NULL,
    version        BIGINT NOT NULL CHECK (version > 0)
);

-- Sign-ins that are under way. The secret is the browser's; state, nonce and verifier are made of it.
CREATE TABLE sign_in_attempts (
    digest      BYTEA NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    provider_id TEXT COLLATE "C" NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE,
    -- whose account shall be connected; absent for a sign-in
    user_id     TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
    return_to   TEXT COLLATE "C" NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX sign_in_attempts_by_expiry ON sign_in_attempts (expires_at);

-- By issuer and not by provider: a provider that is removed and added again knows the same people.
CREATE TABLE identities (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    issuer       TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email        TEXT COLLATE "C",
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    UNIQUE (issuer, subject)
);
CREATE INDEX identities_by_user ON identities (user_id, created_at);

CREATE TABLE group_rules (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    provider_id TEXT COLLATE "C" NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE,
    group_name  TEXT COLLATE "C" NOT NULL,
    tenant_id   TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    role        TEXT COLLATE "C" NOT NULL CHECK (role IN ('admin', 'developer', 'viewer')),
    created_at  BIGINT NOT NULL,
    UNIQUE (provider_id, group_name, tenant_id)
);

-- The provider whose rule made the membership; absent: a person did, and no rule changes it.
ALTER TABLE memberships ADD COLUMN provider_id TEXT COLLATE "C" REFERENCES identity_providers (id) ON DELETE CASCADE;

CREATE TABLE sign_in_settings (
    one            BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    local_accounts BOOLEAN NOT NULL
);
INSERT INTO sign_in_settings (one, local_accounts) VALUES (1, TRUE);
