-- What namespaces took and used, an hour a row: sums and peaks of its samples. CPU in thousandths of a core, else units.

-- Which of its twelve samples an hour of a cluster has, a bit each: none is written twice.
CREATE TABLE usage_passes (
    cluster TEXT NOT NULL,
    hour    INTEGER NOT NULL,
    parts   INTEGER NOT NULL,
    PRIMARY KEY (cluster, hour)
) STRICT;

CREATE TABLE usage_hours (
    namespace_id         TEXT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    hour                 INTEGER NOT NULL,
    samples              INTEGER NOT NULL,
    -- those that know what was in use
    measured             INTEGER NOT NULL,
    cpu_used             INTEGER NOT NULL,
    cpu_used_peak        INTEGER NOT NULL,
    cpu_requests         INTEGER NOT NULL,
    cpu_requests_peak    INTEGER NOT NULL,
    cpu_limits           INTEGER NOT NULL,
    cpu_limits_peak      INTEGER NOT NULL,
    cpu_quota            INTEGER,
    memory_used          INTEGER NOT NULL,
    memory_used_peak     INTEGER NOT NULL,
    memory_requests      INTEGER NOT NULL,
    memory_requests_peak INTEGER NOT NULL,
    memory_limits        INTEGER NOT NULL,
    memory_limits_peak   INTEGER NOT NULL,
    memory_quota         INTEGER,
    pods                 INTEGER NOT NULL,
    pods_peak            INTEGER NOT NULL,
    pods_quota           INTEGER,
    -- samples that know what volumes claim
    stored               INTEGER NOT NULL,
    storage              INTEGER NOT NULL,
    storage_peak         INTEGER NOT NULL,
    storage_quota        INTEGER,
    PRIMARY KEY (namespace_id, hour)
) STRICT, WITHOUT ROWID;
