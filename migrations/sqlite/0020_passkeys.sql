-- Passkeys: a second factor, or both at once.

CREATE TABLE passkeys (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- what the authenticator calls it
    credential   BLOB    NOT NULL UNIQUE CHECK (length(credential) BETWEEN 1 AND 1023),
    -- its public key, as COSE writes it
    public_key   BLOB    NOT NULL,
    -- how often it was used, by its own counting: one that counts never goes back
    uses         INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;
CREATE INDEX passkeys_by_user ON passkeys (user_id, created_at);

-- Questions that a passkey was asked and has not answered: to be added, or to open an account whose name nobody typed.
CREATE TABLE passkey_ceremonies (
    digest     BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    -- who adds one; nobody for a sign-in
    user_id    TEXT    REFERENCES users (id) ON DELETE CASCADE,
    network    TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX passkey_ceremonies_by_network ON passkey_ceremonies (network, expires_at);
CREATE INDEX passkey_ceremonies_by_user ON passkey_ceremonies (user_id, expires_at);
CREATE INDEX passkey_ceremonies_by_expiry ON passkey_ceremonies (expires_at);
