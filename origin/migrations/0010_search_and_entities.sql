-- What search walks over, and who stands behind the names.

-- Newest first, and of those of one moment by number; what has no date comes last. Pages of results go on from the last row.
CREATE INDEX permits_street_newest
    ON permits (lower(street_name), (coalesce(filed_date, '-infinity')) DESC, permit_number DESC);
CREATE INDEX permits_neighborhood_newest
    ON permits (lower(neighborhood), (coalesce(filed_date, '-infinity')) DESC, permit_number DESC);
CREATE INDEX permits_words ON permits USING gin (to_tsvector('english', description));

-- A name as it is compared: capitals, without the usual marks, single spaces.
CREATE FUNCTION compared_name(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN nullif(btrim(regexp_replace(translate(upper(name), ',.-''', '    '), '\s+', ' ', 'g')), '');

-- A license as it is compared: letters and digits without the dash, digits without leading zeros.
CREATE FUNCTION compared_license(license text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN nullif(CASE
        WHEN btrim(license) ~ '^[0-9]+$' THEN ltrim(btrim(license), '0')
        ELSE upper(regexp_replace(btrim(license), '^([A-Za-z]+)-([0-9]+)$', '\1\2'))
    END, '');

-- People and firms, each from the contacts that are the same one. entity_id is a digest of what they were told by, so it
-- stays from one run to the next.
CREATE TABLE entities (
    entity_id             text PRIMARY KEY,
    canonical_name        text NOT NULL,
    canonical_firm        text,
    entity_type           text NOT NULL,
    license_number        text,
    sf_business_license   text,
    resolution_method     text NOT NULL,
    resolution_confidence text NOT NULL,
    contact_count         integer NOT NULL,
    permit_count          integer NOT NULL,
    sources               text[] NOT NULL
);

-- Which permits an entity stands on, and as what.
CREATE TABLE entity_permits (
    entity_id     text NOT NULL,
    permit_number text NOT NULL,
    role          text NOT NULL,
    PRIMARY KEY (entity_id, permit_number, role)
);
CREATE INDEX entity_permits_permit_number ON entity_permits (permit_number);

-- What people type: streets, neighborhoods, names. weight is how many permits have it.
CREATE TABLE search_terms (
    kind   text NOT NULL CHECK (kind IN ('street', 'neighborhood', 'entity')),
    term   text NOT NULL,
    target text NOT NULL,
    weight integer NOT NULL,
    PRIMARY KEY (kind, term, target)
);
CREATE INDEX search_terms_prefix ON search_terms (lower(term) text_pattern_ops);
CREATE INDEX search_terms_similar ON search_terms USING gin (lower(term) gin_trgm_ops);
