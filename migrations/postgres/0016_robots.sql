-- Robots: accounts that are a tenant's own, what tokens are limited to, and CI jobs that come in as robots.

-- A robot is a row among people's, called `robot:TENANT/NAME`, so that roles, tokens and all that they lead to are the same. It has
-- no password, and goes with its tenant.
ALTER TABLE users ADD COLUMN robot_of TEXT COLLATE "C" REFERENCES tenants (id) ON DELETE CASCADE;
-- The only namespace where it has a role; it goes with it.
ALTER TABLE users ADD COLUMN robot_in TEXT COLLATE "C" REFERENCES namespaces (id) ON DELETE CASCADE;
CREATE INDEX users_robot_of ON users (robot_of);
CREATE INDEX users_robot_in ON users (robot_in);

-- `app.create app.update`; absent: all.
ALTER TABLE tokens ADD COLUMN actions TEXT COLLATE "C";

-- CI systems that platform admins list.
CREATE TABLE ci_issuers (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    issuer     TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- Which of their jobs come in as a robot; `conditions` as JSON.
CREATE TABLE robot_trusts (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    robot_id   TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer_id  TEXT COLLATE "C" NOT NULL REFERENCES ci_issuers (id) ON DELETE CASCADE,
    audience   TEXT COLLATE "C" NOT NULL,
    conditions TEXT COLLATE "C" NOT NULL,
    minutes    BIGINT NOT NULL CHECK (minutes BETWEEN 1 AND 60),
    created_at BIGINT NOT NULL
);
CREATE INDEX robot_trusts_by_robot ON robot_trusts (robot_id);
CREATE INDEX robot_trusts_by_issuer ON robot_trusts (issuer_id);

-- A token that a job got ends with the trust that gave it.
ALTER TABLE tokens ADD COLUMN trust_id TEXT COLLATE "C" REFERENCES robot_trusts (id) ON DELETE CASCADE;
CREATE INDEX tokens_by_trust ON tokens (trust_id);

-- Tokens of jobs that were used, as digests, until they are worth nothing.
CREATE TABLE ci_used (
    digest     BYTEA NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    expires_at BIGINT NOT NULL
);
CREATE INDEX ci_used_by_expiry ON ci_used (expires_at);
