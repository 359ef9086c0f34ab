-- What namespaces took and used, an hour a row: sums and peaks of its samples. CPU in thousandths of a core, else units.

-- Which of its twelve samples an hour of a cluster has, a bit each: none is written twice.
CREATE TABLE usage_passes (
    cluster TEXT COLLATE "C" NOT NULL,
    hour    BIGINT NOT NULL,
    parts   BIGINT NOT NULL,
    PRIMARY KEY (cluster, hour)
);

CREATE TABLE usage_hours (
    namespace_id         TEXT COLLATE "C" NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    hour                 BIGINT NOT NULL,
    samples              BIGINT NOT NULL,
    -- those that know what was in use
    measured             BIGINT NOT NULL,
    cpu_used             BIGINT NOT NULL,
    cpu_used_peak        BIGINT NOT NULL,
    cpu_requests         BIGINT NOT NULL,
    cpu_requests_peak    BIGINT NOT NULL,
    cpu_limits           BIGINT NOT NULL,
    cpu_limits_peak      BIGINT NOT NULL,
    cpu_quota            BIGINT,
    memory_used          BIGINT NOT NULL,
    memory_used_peak     BIGINT NOT NULL,
    memory_requests      BIGINT NOT NULL,
    memory_requests_peak BIGINT NOT NULL,
    memory_limits        BIGINT NOT NULL,
    memory_limits_peak   BIGINT NOT NULL,
    memory_quota         BIGINT,
    pods                 BIGINT NOT NULL,
    pods_peak            BIGINT NOT NULL,
    pods_quota           BIGINT,
    -- samples that know what volumes claim
    stored               BIGINT NOT NULL,
    storage              BIGINT NOT NULL,
    storage_peak         BIGINT NOT NULL,
    storage_quota        BIGINT,
    PRIMARY KEY (namespace_id, hour)
);
