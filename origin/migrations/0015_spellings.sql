-- How the city writes what rows are grouped by, where that has blanks at the ends: a load of changes asks for a group in each of
-- these spellings.
CREATE TABLE ingest_spellings (
    dataset_id text NOT NULL,
    value      text NOT NULL,
    spelling   text NOT NULL,
    PRIMARY KEY (dataset_id, spelling)
);
CREATE INDEX ingest_spellings_value ON ingest_spellings (dataset_id, value);
-- The load up to which they are known, as last_fetched has it. A program that knows nothing of spellings leaves it behind, and
-- the next load reads the dataset whole; so does the first one after this migration.
ALTER TABLE ingest_log ADD COLUMN spellings_at timestamptz;
