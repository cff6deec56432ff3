-- How the city writes what rows are grouped by, where that has blanks at the ends: a load of changes asks for a group in each of
-- these spellings.
CREATE TABLE ingest_spellings (
    dataset_id text NOT NULL,
    value      text NOT NULL,
    spelling   text NOT NULL,
    PRIMARY KEY (dataset_id, spelling)
);
CREATE INDEX ingest_spellings_value ON ingest_spellings (dataset_id, value);
-- They are known after a whole load, so the next load is one.
UPDATE ingest_log SET last_full = NULL;
