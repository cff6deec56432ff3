-- The trades' permits, their contacts and inspections share the tables of the building permits' and are told apart by
-- source; tax rolls and businesses have tables of their own.

ALTER TABLE permits ADD COLUMN source text NOT NULL DEFAULT 'building';

-- wv5m-vpq2, roll years from 2022 on.
CREATE TABLE tax_rolls (
    row_key                        text NOT NULL,
    occurrence                     integer NOT NULL,
    block                          text NOT NULL,
    lot                            text NOT NULL,
    tax_year                       integer NOT NULL,
    property_location              text,
    parcel_number                  text,
    zoning_code                    text,
    use_code                       text,
    use_definition                 text,
    property_class_code            text,
    property_class_code_definition text,
    year_property_built            integer,
    number_of_stories              double precision,
    number_of_units                integer,
    number_of_rooms                integer,
    number_of_bedrooms             integer,
    number_of_bathrooms            double precision,
    lot_area                       double precision,
    property_area                  double precision,
    assessed_land_value            double precision,
    assessed_improvement_value     double precision,
    assessed_personal_property     double precision,
    assessed_fixtures              double precision,
    current_sales_date             timestamp,
    neighborhood                   text,
    supervisor_district            text,
    data_as_of                     timestamp,
    PRIMARY KEY (row_key, occurrence)
);
CREATE INDEX tax_rolls_parcel ON tax_rolls (block, lot, tax_year);

-- g8m3-pdis, locations that have not ended.
CREATE TABLE businesses (
    row_key                 text NOT NULL,
    occurrence              integer NOT NULL,
    certificate_number      text NOT NULL,
    ttxid                   text,
    ownership_name          text,
    dba_name                text,
    full_business_address   text,
    city                    text,
    state                   text,
    business_zip            text,
    dba_start_date          timestamp,
    dba_end_date            timestamp,
    location_start_date     timestamp,
    location_end_date       timestamp,
    parking_tax             text,
    transient_occupancy_tax text,
    data_as_of              timestamp,
    PRIMARY KEY (row_key, occurrence)
);
CREATE INDEX businesses_certificate ON businesses (certificate_number);

-- Up to when a dataset's changes are known, by the city's own clock (:updated_at), and when it was last read whole.
ALTER TABLE ingest_log ADD COLUMN updated_through text, ADD COLUMN last_full timestamptz;

-- Dates that cannot be true of a city's records of our time, such as the year 200: stored as absent, so that no statistic
-- counts them, and kept here as they came. Each whole load replaces its dataset's rows.
CREATE TABLE ingest_quarantine (
    dataset_id  text NOT NULL,
    column_name text NOT NULL,
    value       text NOT NULL,
    row_key     text,
    seen_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ingest_quarantine_dataset ON ingest_quarantine (dataset_id);
