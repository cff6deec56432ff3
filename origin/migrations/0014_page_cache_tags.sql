-- What an entry is made of, as purges of the edge name it: a load makes these entries old before it tells the edge.
ALTER TABLE page_cache ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
-- Whether the entry says that there is nothing. Anyone can ask for as many of those as they like, so their number has a
-- bound of its own.
ALTER TABLE page_cache ADD COLUMN is_negative boolean NOT NULL DEFAULT false;
CREATE INDEX page_cache_negative ON page_cache (computed_at) WHERE is_negative;
