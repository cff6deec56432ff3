-- Streets and neighborhoods of one status or one kind, newest first, as permits_street_newest holds all of them: without
-- these, what is rare on a long street is found by reading the whole street. They can be made CONCURRENTLY by hand before.
CREATE INDEX IF NOT EXISTS permits_street_status
    ON permits (lower(street_name), lower(status), (coalesce(filed_date, '-infinity')) DESC, permit_number DESC);
CREATE INDEX IF NOT EXISTS permits_street_type
    ON permits (lower(street_name), lower(permit_type_definition), (coalesce(filed_date, '-infinity')) DESC,
                permit_number DESC);
CREATE INDEX IF NOT EXISTS permits_neighborhood_status
    ON permits (lower(neighborhood), lower(status), (coalesce(filed_date, '-infinity')) DESC, permit_number DESC);
CREATE INDEX IF NOT EXISTS permits_neighborhood_type
    ON permits (lower(neighborhood), lower(permit_type_definition), (coalesce(filed_date, '-infinity')) DESC,
                permit_number DESC);

-- The most used terms of each beginning of two letters.
CREATE INDEX IF NOT EXISTS search_terms_suggested ON search_terms (left(lower(term), 2), weight DESC, term, target);

-- Which list of the sitemap each parcel is in, worked out with the entities: to count parcels and to find the place in them
-- is to read all permits.
CREATE TABLE sitemap_parcels (
    block text NOT NULL,
    lot   text NOT NULL,
    list  bigint NOT NULL,
    PRIMARY KEY (block, lot)
);
CREATE INDEX sitemap_parcels_list ON sitemap_parcels (list, block, lot);
