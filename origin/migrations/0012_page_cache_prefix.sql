-- Finds the entries of one person, `cache_key LIKE 'brief:7:%'`, without reading all.
CREATE INDEX page_cache_prefix ON page_cache (cache_key text_pattern_ops);
