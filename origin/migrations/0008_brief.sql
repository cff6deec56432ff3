-- What changed in the city's permits, and which briefs were mailed. All times are the database's own; days are San Francisco's.

CREATE TABLE permit_changes (
    change_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    permit_number text NOT NULL,
    change_date   date NOT NULL DEFAULT (now() AT TIME ZONE 'America/Los_Angeles')::date,
    detected_at   timestamptz NOT NULL DEFAULT now(),
    change_type   text NOT NULL CHECK (change_type IN ('new_permit', 'status_change', 'cost_revision')),
    old_status    text,
    new_status    text,
    old_cost      double precision,
    new_cost      double precision,
    permit_type   text,
    description   text,
    street_number text,
    street_name   text,
    street_suffix text,
    neighborhood  text,
    block         text,
    lot           text
);
CREATE INDEX permit_changes_change_date ON permit_changes (change_date);
CREATE INDEX permit_changes_permit_number ON permit_changes (permit_number, change_date);

-- Written by whatever changes the permits, in its own transaction, so that no change is missed and none is written twice.
CREATE FUNCTION log_changed_permits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO permit_changes (permit_number, change_type, old_status, new_status, old_cost, new_cost, permit_type, description,
                                street_number, street_name, street_suffix, neighborhood, block, lot)
    SELECT after.permit_number,
           CASE WHEN after.status IS DISTINCT FROM before.status THEN 'status_change' ELSE 'cost_revision' END,
           before.status, after.status, before.revised_cost, after.revised_cost, after.permit_type_definition,
           left(after.description, 300), after.street_number, after.street_name, after.street_suffix, after.neighborhood,
           after.block, after.lot
      FROM after JOIN before USING (record_id)
     WHERE after.status IS DISTINCT FROM before.status OR after.revised_cost IS DISTINCT FROM before.revised_cost;
    RETURN NULL;
END $$;
CREATE TRIGGER log_changed_permits AFTER UPDATE ON permits REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION log_changed_permits();

-- The first load brings every permit there ever was; what was filed within a month is new.
CREATE FUNCTION log_new_permits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO permit_changes (permit_number, change_type, new_status, new_cost, permit_type, description, street_number,
                                street_name, street_suffix, neighborhood, block, lot)
    SELECT permit_number, 'new_permit', status, coalesce(revised_cost, estimated_cost), permit_type_definition,
           left(description, 300), street_number, street_name, street_suffix, neighborhood, block, lot
      FROM after WHERE filed_date >= (now() AT TIME ZONE 'America/Los_Angeles')::date - 30;
    RETURN NULL;
END $$;
CREATE TRIGGER log_new_permits AFTER INSERT ON permits REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION log_new_permits();

-- One row for each person and period. It is written before the mail is handed over and marked after, so a mail is sent again
-- only when its process ended between the two; it then has the same Message-ID.
CREATE TABLE brief_mails (
    user_id  bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    -- The day, or the Monday of a weekly brief.
    period   date NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    sent_at  timestamptz,
    -- 'sent'; 'empty': there was nothing to say; 'refused': the mail server does not take mail for this address.
    outcome  text CHECK (outcome IN ('sent', 'empty', 'refused')),
    PRIMARY KEY (user_id, period),
    CHECK ((sent_at IS NULL) = (outcome IS NULL))
);
