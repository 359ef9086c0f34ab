-- Robots: accounts that are a tenant's own, and what tokens are limited to.

-- A robot is a row among people's, called `robot:TENANT/NAME`, so that roles, tokens and all that they lead to are the same. It has
-- no password, and goes with its tenant.
ALTER TABLE users ADD COLUMN robot_of TEXT REFERENCES tenants (id) ON DELETE CASCADE;
-- The only namespace where it has a role; it goes with it.
ALTER TABLE users ADD COLUMN robot_in TEXT REFERENCES namespaces (id) ON DELETE CASCADE;
CREATE INDEX users_robot_of ON users (robot_of);
CREATE INDEX users_robot_in ON users (robot_in);

-- `app.create app.update`; absent: all.
ALTER TABLE tokens ADD COLUMN actions TEXT;
