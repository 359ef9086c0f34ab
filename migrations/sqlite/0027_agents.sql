-- Clusters that Berth cannot reach: an agent in each calls in.

CREATE TABLE cluster_agents (
    cluster    TEXT    NOT NULL PRIMARY KEY REFERENCES clusters (id),
    -- of the token; absent once it is revoked, and its first characters with it
    digest     BLOB    UNIQUE,
    prefix     TEXT,
    made_by    TEXT    NOT NULL,
    made_at    INTEGER NOT NULL,
    -- of who called last
    version    TEXT,
    address    TEXT,
    seen_at    INTEGER,
    -- why who called was sent away, if nobody was taken since
    refused    TEXT,
    refused_at INTEGER,
    CHECK ((digest IS NULL) = (prefix IS NULL))
) STRICT;

-- Processes of this installation that serve: each says so every few seconds.
CREATE TABLE replicas (
    name    TEXT    NOT NULL PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT;

-- To which of them an agent has a tunnel: said as often.
CREATE TABLE cluster_tunnels (
    cluster TEXT    NOT NULL REFERENCES clusters (id),
    replica TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (cluster, replica)
) STRICT;
