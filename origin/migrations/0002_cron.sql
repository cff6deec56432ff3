-- What runs at fixed times, and what it makes.

-- One row for each run. A row says 'running' while its process holds the job's lock; whoever takes the lock next marks
-- what a process left behind.
CREATE TABLE cron_log (
    log_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_type        text NOT NULL,
    -- The caller's Idempotency-Key: a call that is repeated finds its run instead of starting another.
    idempotency_key text,
    started_at      timestamptz NOT NULL DEFAULT now(),
    completed_at    timestamptz,
    status          text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'success', 'failed')),
    -- What it is at, and how far: {"stage": "permits", "done": 1, "total": 6}.
    progress        jsonb,
    -- What it did, for a run that ended well.
    counts          jsonb,
    error_message   text,
    CHECK ((status = 'running') = (completed_at IS NULL))
);
CREATE INDEX cron_log_job ON cron_log (job_type, started_at DESC);
CREATE UNIQUE INDEX cron_log_idempotency_key ON cron_log (job_type, idempotency_key);

-- Days from arrival at a plan-review station to its finish. 'current' looks back a quarter, or half a year where a
-- quarter has too few reviews; 'baseline' looks back a year.
CREATE TABLE station_velocity_v2 (
    station      text NOT NULL,
    metric_type  text NOT NULL CHECK (metric_type IN ('initial', 'revision')),
    period       text NOT NULL CHECK (period IN ('current', 'baseline')),
    p25_days     double precision NOT NULL,
    p50_days     double precision NOT NULL,
    p75_days     double precision NOT NULL,
    p90_days     double precision NOT NULL,
    sample_count integer NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (station, metric_type, period)
);
