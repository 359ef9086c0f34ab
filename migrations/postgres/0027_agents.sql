-- Clusters that Berth cannot reach: an agent in each calls in.

CREATE TABLE cluster_agents (
    cluster    TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES clusters (id),
    -- of the token; absent once it is revoked, and its first characters with it
    digest     BYTEA   UNIQUE,
    prefix     TEXT COLLATE "C",
    made_by    TEXT COLLATE "C" NOT NULL,
    made_at    BIGINT NOT NULL,
    -- of who called last
    version    TEXT COLLATE "C",
    address    TEXT COLLATE "C",
    seen_at    BIGINT,
    -- why who called was sent away, if nobody was taken since
    refused    TEXT COLLATE "C",
    refused_at BIGINT,
    CHECK ((digest IS NULL) = (prefix IS NULL))
);

-- Processes of this installation that serve: each says so every few seconds.
CREATE TABLE replicas (
    name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seen_at BIGINT NOT NULL
);

-- To which of them an agent has a tunnel: said as often.
CREATE TABLE cluster_tunnels (
    cluster TEXT COLLATE "C" NOT NULL REFERENCES clusters (id),
    replica TEXT COLLATE "C" NOT NULL,
    since   BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (cluster, replica)
);
