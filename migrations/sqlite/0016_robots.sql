-- Robots: accounts that are a tenant's own, what tokens are limited to, and CI jobs that come in as robots.

-- A robot is a row among people's, called `robot:TENANT/NAME`, so that roles, tokens and all that they lead to are the same. It has
-- no password, and goes with its tenant.
ALTER TABLE users ADD COLUMN robot_of TEXT REFERENCES tenants (id) ON DELETE CASCADE;
-- The only namespace where it has a role; it goes with it.
ALTER TABLE users ADD COLUMN robot_in TEXT REFERENCES namespaces (id) ON DELETE CASCADE;
CREATE INDEX users_robot_of ON users (robot_of);
CREATE INDEX users_robot_in ON users (robot_in);

-- `app.create app.update`; absent: all.
ALTER TABLE tokens ADD COLUMN actions TEXT;

-- CI systems that platform admins list.
CREATE TABLE ci_issuers (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    issuer     TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Which of their jobs come in as a robot; `conditions` as JSON.
CREATE TABLE robot_trusts (
    id         TEXT NOT NULL PRIMARY KEY,
    robot_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer_id  TEXT NOT NULL REFERENCES ci_issuers (id) ON DELETE CASCADE,
    audience   TEXT NOT NULL,
    conditions TEXT NOT NULL,
    minutes    INTEGER NOT NULL CHECK (minutes BETWEEN 1 AND 60),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX robot_trusts_by_robot ON robot_trusts (robot_id);
CREATE INDEX robot_trusts_by_issuer ON robot_trusts (issuer_id);

-- A token that a job got ends with the trust that gave it.
ALTER TABLE tokens ADD COLUMN trust_id TEXT REFERENCES robot_trusts (id) ON DELETE CASCADE;
CREATE INDEX tokens_by_trust ON tokens (trust_id);

-- Tokens of jobs that were used, as digests, until they are worth nothing.
CREATE TABLE ci_used (
    digest     BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ci_used_by_expiry ON ci_used (expires_at);
