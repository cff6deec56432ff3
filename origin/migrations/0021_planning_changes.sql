-- How records of the planning department are looked for, and what changed of them, as permit_changes has it of permits.

-- An address as it is compared: small letters and single spaces with one at the end, so that what begins like `1 market st `
-- begins with these words. The city's own have fifty characters; a longer text is cut, because an entry of an index has a bound.
CREATE FUNCTION planning_address(address text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN left(lower(btrim(regexp_replace(address, '[\s,.]+', ' ', 'g'))), 100) || ' ';

-- How such an address may begin: with the number and each name of the street, and with each suffix, unless there is none or the
-- name holds it already.
CREATE FUNCTION planning_begins(number text, names text[], suffixes text[], whole text[]) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT DISTINCT number || ' ' || name || coalesce(' ' || suffix, '') || ' '
      FROM unnest(names) AS name LEFT JOIN unnest(suffixes) AS suffix ON name <> ALL (whole);
END;

CREATE INDEX planning_records_number ON planning_records (upper(record_id) text_pattern_ops);
CREATE INDEX planning_records_address ON planning_records (planning_address(address) text_pattern_ops);

CREATE TABLE planning_changes (
    change_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_id    text NOT NULL,
    change_date  date NOT NULL DEFAULT (now() AT TIME ZONE 'America/Los_Angeles')::date,
    change_type  text NOT NULL CHECK (change_type IN ('new_record', 'status_change')),
    old_status   text,
    new_status   text,
    record_type  text,
    project_name text,
    address      text,
    block        text,
    lot          text
);
CREATE INDEX planning_changes_parcel ON planning_changes (block, lot, change_date DESC);
CREATE INDEX planning_changes_address ON planning_changes (planning_address(address) text_pattern_ops);
CREATE INDEX planning_changes_date ON planning_changes (change_date);

CREATE FUNCTION log_changed_planning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO planning_changes (record_id, change_type, old_status, new_status, record_type, project_name, address, block, lot)
    SELECT after.record_id, 'status_change', before.record_status, after.record_status, after.record_type,
           left(after.project_name, 300), left(after.address, 300), after.block, after.lot
      FROM after JOIN before USING (row_key, occurrence)
     WHERE after.record_status IS DISTINCT FROM before.record_status;
    RETURN NULL;
END $$;
CREATE TRIGGER log_changed_planning AFTER UPDATE ON planning_records REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION log_changed_planning();

-- Of the first load, what was opened within a month is new.
CREATE FUNCTION log_new_planning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO planning_changes (record_id, change_type, new_status, record_type, project_name, address, block, lot)
    SELECT record_id, 'new_record', record_status, record_type, left(project_name, 300), left(address, 300), block, lot
      FROM after WHERE open_date >= (now() AT TIME ZONE 'America/Los_Angeles')::date - 30;
    RETURN NULL;
END $$;
CREATE TRIGGER log_new_planning AFTER INSERT ON planning_records REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION log_new_planning();
