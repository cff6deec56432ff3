-- Tags of pages that are old now, until the edge has been told. Written with the change that made them old.
CREATE TABLE purge_queue (
    tag       text PRIMARY KEY,
    queued_at timestamptz NOT NULL DEFAULT now()
);
