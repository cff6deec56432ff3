-- The city's data as DataSF publishes it, with real types.
-- Dates are DataSF's floating timestamps: local time in San Francisco, without a zone.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- i98e-djp9. One row for each permit and address, so permit_number repeats and record_id is the key.
CREATE TABLE permits (
    record_id              text PRIMARY KEY,
    permit_number          text NOT NULL,
    permit_type            text,
    permit_type_definition text,
    status                 text,
    status_date            timestamp,
    description            text,
    filed_date             timestamp,
    issued_date            timestamp,
    approved_date          timestamp,
    completed_date         timestamp,
    estimated_cost         double precision,
    revised_cost           double precision,
    existing_use           text,
    proposed_use           text,
    existing_units         integer,
    proposed_units         integer,
    street_number          text,
    street_number_suffix   text,
    street_name            text,
    street_suffix          text,
    unit                   text,
    unit_suffix            text,
    zipcode                text,
    neighborhood           text,
    supervisor_district    text,
    block                  text,
    lot                    text,
    adu                    text,
    primary_address_flag   text,
    longitude              double precision,
    latitude               double precision,
    data_as_of             timestamp
);
CREATE INDEX permits_permit_number ON permits (permit_number);
CREATE INDEX permits_parcel ON permits (block, lot);
CREATE INDEX permits_street ON permits (lower(street_name), street_number);

-- Tables below carry the city's own key where it publishes one (row_key), otherwise a digest of the row.
-- occurrence counts the rows of one key from 1, so that none is lost where the city publishes it twice.
-- data_as_of is the stamp of the extract that brought the row as it is now. The city stamps every row every
-- night; a new stamp alone rewrites nothing, and ingest_log has the newest.

-- 3pee-9qhc
CREATE TABLE contacts (
    row_key             text NOT NULL,
    occurrence          integer NOT NULL,
    source              text NOT NULL,
    permit_number       text NOT NULL,
    role                text NOT NULL,
    name                text,
    first_name          text,
    last_name           text,
    firm_name           text,
    pts_agent_id        text,
    license_number      text,
    sf_business_license text,
    phone               text,
    address             text,
    city                text,
    state               text,
    zipcode             text,
    is_applicant        text,
    from_date           timestamp,
    data_as_of          timestamp,
    PRIMARY KEY (row_key, occurrence)
);
CREATE INDEX contacts_permit_number ON contacts (permit_number);
CREATE INDEX contacts_name ON contacts USING gin (lower(name) gin_trgm_ops);
CREATE INDEX contacts_firm_name ON contacts USING gin (lower(firm_name) gin_trgm_ops);

-- vckc-dh2h
CREATE TABLE inspections (
    row_key                text NOT NULL,
    occurrence             integer NOT NULL,
    source                 text NOT NULL,
    reference_number       text,
    reference_number_type  text,
    inspector              text,
    scheduled_date         timestamp,
    result                 text,
    inspection_description text,
    block                  text,
    lot                    text,
    street_number          text,
    street_name            text,
    street_suffix          text,
    neighborhood           text,
    supervisor_district    text,
    zipcode                text,
    data_as_of             timestamp,
    PRIMARY KEY (row_key, occurrence)
);
CREATE INDEX inspections_reference_number ON inspections (reference_number);
CREATE INDEX inspections_parcel ON inspections (block, lot);

-- 87xy-gk8d. application_number is permits.permit_number.
CREATE TABLE addenda (
    row_key            text NOT NULL,
    occurrence         integer NOT NULL,
    primary_key        text,
    application_number text NOT NULL,
    addenda_number     integer,
    step               integer,
    station            text,
    arrive             timestamp,
    assign_date        timestamp,
    start_date         timestamp,
    finish_date        timestamp,
    approved_date      timestamp,
    plan_checked_by    text,
    review_results     text,
    hold_description   text,
    addenda_status     text,
    department         text,
    title              text,
    data_as_of         timestamp,
    PRIMARY KEY (row_key, occurrence)
);
CREATE INDEX addenda_application_number ON addenda (application_number);

-- gm2e-bten
CREATE TABLE complaints (
    row_key               text NOT NULL,
    occurrence            integer NOT NULL,
    complaint_number      text NOT NULL,
    date_filed            timestamp,
    date_abated           timestamp,
    block                 text,
    lot                   text,
    parcel_number         text,
    street_number         text,
    street_name           text,
    street_suffix         text,
    unit                  text,
    zip_code              text,
    complaint_description text,
    status                text,
    nov_type              text,
    receiving_division    text,
    assigned_division     text,
    data_as_of            timestamp,
    PRIMARY KEY (row_key, occurrence)
);
CREATE INDEX complaints_parcel ON complaints (block, lot);

-- nbtm-fbw5
CREATE TABLE violations (
    row_key                  text NOT NULL,
    occurrence               integer NOT NULL,
    complaint_number         text NOT NULL,
    item_sequence_number     text,
    date_filed               timestamp,
    block                    text,
    lot                      text,
    street_number            text,
    street_name              text,
    street_suffix            text,
    unit                     text,
    status                   text,
    receiving_division       text,
    assigned_division        text,
    nov_category_description text,
    item                     text,
    nov_item_description     text,
    neighborhood             text,
    supervisor_district      text,
    zipcode                  text,
    data_as_of               timestamp,
    PRIMARY KEY (row_key, occurrence)
);
CREATE INDEX violations_parcel ON violations (block, lot);

-- What the last complete load of each dataset read and did.
CREATE TABLE ingest_log (
    dataset_id   text PRIMARY KEY,
    dataset_name text NOT NULL,
    last_fetched timestamptz NOT NULL,
    rows_read    bigint NOT NULL,
    rows_stored  bigint NOT NULL,
    rows_refused bigint NOT NULL,
    data_as_of   timestamp
);

-- Rows that could not be stored, as they came and why. Each load replaces its dataset's rows.
CREATE TABLE ingest_refused (
    dataset_id text NOT NULL,
    reason     text NOT NULL,
    row        jsonb NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ingest_refused_dataset ON ingest_refused (dataset_id);
