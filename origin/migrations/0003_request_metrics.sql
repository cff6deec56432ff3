-- A sample of requests: every slow one, and one in ten of the others, which then stands for ten.
CREATE TABLE request_metrics (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The route's pattern, such as /report/{block}/{lot}: what visitors asked for is not kept.
    path        text NOT NULL,
    method      text NOT NULL,
    status_code integer NOT NULL,
    duration_ms double precision NOT NULL,
    -- How many requests this row stands for.
    weight      integer NOT NULL CHECK (weight > 0),
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX request_metrics_recorded_at ON request_metrics (recorded_at);
