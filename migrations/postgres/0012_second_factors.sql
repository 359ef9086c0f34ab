-- Second factors: a code besides the password.

-- One a person.
CREATE TABLE authenticators (
    user_id    TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- the app's secret; the key is a file of the machine
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    -- the last step of 30 seconds whose code was taken: none counts twice
    last_step  BIGINT NOT NULL
);

-- Codes that are left: one that is used goes.
CREATE TABLE recovery_codes (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  BYTEA NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (user_id, digest)
);

-- Sign-ins whose password was right and that wait for a code. No session: nothing else opens with it.
CREATE TABLE second_steps (
    digest     BYTEA NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL,
    tries      BIGINT NOT NULL
);
CREATE INDEX second_steps_by_user ON second_steps (user_id, expires_at);
CREATE INDEX second_steps_by_expiry ON second_steps (expires_at);

-- Where a sign-in by a provider was begun, so that nobody fills the table.
ALTER TABLE sign_in_attempts ADD COLUMN network TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX sign_in_attempts_by_network ON sign_in_attempts (network, expires_at);
CREATE INDEX sign_in_attempts_by_user ON sign_in_attempts (user_id, expires_at);
