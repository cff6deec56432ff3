-- Work that takes longer than a request, and what it made. All times are the database's own.

CREATE TABLE jobs (
    -- 128 random bits in hexadecimal: who knows it may read the result.
    job_id            text PRIMARY KEY,
    kind              text NOT NULL,
    payload           jsonb NOT NULL,
    -- A digest of kind, payload and the caller's Idempotency-Key: asking twice gives one job.
    request_key       text UNIQUE,
    -- Whether only one of its kind may be waiting or running.
    sole              boolean NOT NULL,
    state             text NOT NULL DEFAULT 'queued'
                      CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    -- Counts its leases. Whoever writes names the lease it holds, and writes nothing when another one was given since.
    fence             integer NOT NULL DEFAULT 0,
    leased_until      timestamptz,
    failures          integer NOT NULL DEFAULT 0,
    attempts_max      integer NOT NULL CHECK (attempts_max > 0),
    due_at            timestamptz NOT NULL DEFAULT now(),
    cancel_requested  boolean NOT NULL DEFAULT false,
    -- What it is at, and how far: {"stage": "permits", "done": 1, "total": 6}.
    progress          jsonb,
    -- What a later attempt need not do again.
    checkpoint        jsonb,
    counts            jsonb,
    -- For operators: the text of the last failure.
    error             text,
    result_type       text,
    result_name       text,
    result_bytes      bigint,
    result_cut        boolean,
    retention_seconds integer NOT NULL CHECK (retention_seconds > 0),
    created_at        timestamptz NOT NULL DEFAULT now(),
    started_at        timestamptz,
    ended_at          timestamptz,
    expires_at        timestamptz,
    CHECK ((state = 'running') = (leased_until IS NOT NULL)),
    CHECK ((state IN ('done', 'failed', 'cancelled')) = (ended_at IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (expires_at IS NULL))
);
CREATE UNIQUE INDEX jobs_sole ON jobs (kind) WHERE sole AND state IN ('queued', 'running');
CREATE INDEX jobs_due ON jobs (due_at) WHERE state = 'queued';
CREATE INDEX jobs_leased ON jobs (leased_until) WHERE state = 'running';
CREATE INDEX jobs_ended ON jobs (expires_at) WHERE ended_at IS NOT NULL;

-- A result in portions, kept apart by the lease that made them: only those of the lease that ended the job are read.
CREATE TABLE job_parts (
    job_id  text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    fence   integer NOT NULL,
    part    integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (job_id, fence, part)
);

-- A run of cron is a job now, and its row in the log says what the job's row says.
ALTER TABLE cron_log
    ADD COLUMN job_id text,
    ADD COLUMN attempts integer NOT NULL DEFAULT 1,
    DROP CONSTRAINT cron_log_status_check,
    DROP CONSTRAINT cron_log_check,
    ADD CHECK (status IN ('queued', 'running', 'success', 'failed')),
    ADD CHECK ((status IN ('queued', 'running')) = (completed_at IS NULL));
CREATE INDEX cron_log_job_id ON cron_log (job_id);
-- What no job stands behind was left by a process of the release before.
UPDATE cron_log SET status = 'failed', completed_at = now(), error_message = 'the process that ran it is gone'
 WHERE status = 'running';

CREATE FUNCTION log_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cron_log
       SET status = CASE NEW.state WHEN 'done' THEN 'success' WHEN 'cancelled' THEN 'failed' ELSE NEW.state END,
           completed_at = NEW.ended_at,
           attempts = NEW.fence,
           progress = NEW.progress,
           counts = NEW.counts,
           error_message = CASE NEW.state WHEN 'cancelled' THEN 'cancelled' ELSE NEW.error END
     WHERE job_id = NEW.job_id;
    RETURN NULL;
END $$;
CREATE TRIGGER log_job AFTER UPDATE ON jobs FOR EACH ROW WHEN (NEW.sole) EXECUTE FUNCTION log_job();
