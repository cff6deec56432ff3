-- The `queued_at` of which the page cache has been made old, so that an edge that takes no purges makes it old once only.
ALTER TABLE purge_queue ADD COLUMN cache_done_for timestamptz;
