-- What the planning department has on its desk or had: projects, and everything else.
CREATE TABLE planning_records (
    row_key                text NOT NULL,
    occurrence             integer NOT NULL DEFAULT 1,
    record_id              text NOT NULL,
    record_type            text,
    record_status          text,
    block                  text,
    lot                    text,
    address                text,
    project_name           text,
    description            text,
    applicant              text,
    applicant_org          text,
    assigned_planner       text,
    open_date              timestamp,
    close_date             timestamp,
    environmental_doc_type text,
    units_existing         integer,
    units_proposed         integer,
    units_net              double precision,
    affordable_units       integer,
    building_permits       text,
    child_id               text,
    parent_id              text,
    data_as_of             timestamp,
    source                 text NOT NULL,
    PRIMARY KEY (row_key, occurrence)
);
CREATE INDEX planning_records_parcel ON planning_records (block, lot);
CREATE INDEX planning_records_record ON planning_records (record_id);
