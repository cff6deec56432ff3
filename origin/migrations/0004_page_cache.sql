-- What is dear to compute and may be a little old, for all processes. All times are the database's own.
CREATE TABLE page_cache (
    cache_key       text PRIMARY KEY,
    -- A JSON object; null while nobody has computed it yet.
    payload         jsonb,
    computed_at     timestamptz,
    ttl_seconds     integer NOT NULL CHECK (ttl_seconds > 0),
    -- For so long after that it may be served while someone computes it anew.
    stale_seconds   integer NOT NULL CHECK (stale_seconds >= 0),
    invalidated_at  timestamptz,
    -- Until then one process has the right to compute it.
    computing_until timestamptz
);
CREATE INDEX page_cache_computed_at ON page_cache (computed_at);
