-- What is wrong, slow or forgotten, worked out each night from the city's data. Each run replaces all three tables.

CREATE TABLE permit_signals (
    permit_number text NOT NULL,
    signal_type   text NOT NULL,
    -- Empty unless the signal belongs to a station of plan review.
    station       text NOT NULL DEFAULT '',
    tier          text NOT NULL CHECK (tier IN ('at_risk', 'behind', 'slower')),
    -- Since when; null where the city gives no date.
    since         timestamp,
    PRIMARY KEY (permit_number, signal_type, station)
);

CREATE TABLE property_signals (
    block       text NOT NULL,
    lot         text NOT NULL,
    signal_type text NOT NULL,
    tier        text NOT NULL CHECK (tier IN ('at_risk', 'behind', 'slower')),
    -- Permits, notices or complaints with it.
    items       integer NOT NULL CHECK (items > 0),
    since       timestamp,
    PRIMARY KEY (block, lot, signal_type)
);

CREATE TABLE property_health (
    block       text NOT NULL,
    lot         text NOT NULL,
    tier        text NOT NULL CHECK (tier IN ('high_risk', 'at_risk', 'behind', 'slower', 'on_track')),
    -- Kinds of signals of each tier.
    at_risk     integer NOT NULL,
    behind      integer NOT NULL,
    slower      integer NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (block, lot)
);
CREATE INDEX property_health_tier ON property_health (tier);
