-- Passkeys: a second factor, or both at once.

CREATE TABLE passkeys (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- what the authenticator calls it
    credential   BYTEA NOT NULL UNIQUE CHECK (length(credential) BETWEEN 1 AND 1023),
    -- its public key, as COSE writes it
    public_key   BYTEA NOT NULL,
    -- how often it was used, by its own counting: one that counts never goes back
    uses         BIGINT NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkeys_by_user ON passkeys (user_id, created_at);

-- Questions that a passkey was asked and has not answered: to be added, or to open an account whose name nobody typed.
CREATE TABLE passkey_ceremonies (
    digest     BYTEA NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    -- who adds one; nobody for a sign-in
    user_id    TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
    network    TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX passkey_ceremonies_by_network ON passkey_ceremonies (network, expires_at);
CREATE INDEX passkey_ceremonies_by_user ON passkey_ceremonies (user_id, expires_at);
CREATE INDEX passkey_ceremonies_by_expiry ON passkey_ceremonies (expires_at);
