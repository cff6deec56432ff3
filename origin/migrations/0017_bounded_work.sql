-- Words of descriptions that have a status, a kind or a year: the server reads the rows that have both, and not all that have
-- the words. It answers searches without those too, so the index of the words alone goes in the next migration.
CREATE OR REPLACE FUNCTION permit_facets(status text, kind text, filed timestamp) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN array_remove(ARRAY['status ' || lower(status), 'type ' || lower(kind),
                              'year ' || extract(year FROM filed)::int4::text], NULL);
CREATE INDEX IF NOT EXISTS permits_narrowed_words ON permits
    USING gin (to_tsvector('english', description), permit_facets(status, permit_type_definition, filed_date));

-- What waits, the newest first, and what has comments.
CREATE INDEX permit_signals_waits ON permit_signals (since DESC, station, permit_number)
    WHERE signal_type IN ('hold_stalled', 'hold_stalled_planning', 'station_slow') AND since IS NOT NULL;
CREATE INDEX permit_signals_comments ON permit_signals (permit_number) WHERE signal_type = 'hold_comments';

-- What changed in a neighborhood, and how much in the whole city, the newest first.
CREATE INDEX permit_changes_neighborhood ON permit_changes (lower(neighborhood), change_date DESC, change_id DESC);
CREATE INDEX permit_changes_newest ON permit_changes (change_date DESC, change_id DESC, change_type);
