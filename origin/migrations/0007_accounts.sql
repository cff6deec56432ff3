-- Who signs in, and what they watch. All times are the database's own.

CREATE TABLE users (
    user_id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- In lower case, so that one person is one row.
    email              text NOT NULL UNIQUE CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254),
    is_admin           boolean NOT NULL DEFAULT false,
    is_active          boolean NOT NULL DEFAULT true,
    -- Counts up when the person signs out everywhere; a session of an older generation is over.
    session_generation integer NOT NULL DEFAULT 0,
    brief_frequency    text NOT NULL DEFAULT 'none' CHECK (brief_frequency IN ('none', 'daily', 'weekly')),
    -- The code that let the person in, where one was needed.
    invite_code        text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    last_login_at      timestamptz NOT NULL DEFAULT now()
);

-- Links to sign in. The link itself is in the mail only; here is its SHA-256.
CREATE TABLE auth_tokens (
    token_hash  bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    email       text NOT NULL,
    invite_code text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX auth_tokens_email ON auth_tokens (email, created_at);
CREATE INDEX auth_tokens_expires_at ON auth_tokens (expires_at);

-- What someone watches. `subject` is the one spelling of it, so that nobody watches the same thing twice.
CREATE TABLE watch_items (
    watch_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id         bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    watch_type      text NOT NULL CHECK (watch_type IN ('permit', 'parcel', 'address', 'entity', 'neighborhood')),
    subject         text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    -- As the person wrote it.
    label           text NOT NULL,
    permit_number   text,
    block           text,
    lot             text,
    -- The address in the spellings that the city may use, as search has them.
    street_number   text,
    street_names    text[],
    street_suffixes text[],
    street_whole    text[],
    -- In lower case, as are the two below.
    entity_name     text,
    neighborhood    text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, watch_type, subject),
    CHECK (watch_type <> 'permit' OR permit_number IS NOT NULL),
    CHECK (watch_type <> 'parcel' OR (block IS NOT NULL AND lot IS NOT NULL)),
    CHECK (watch_type <> 'address' OR (street_number IS NOT NULL AND street_names IS NOT NULL AND street_suffixes IS NOT NULL
                                         AND street_whole IS NOT NULL)),
    CHECK (watch_type <> 'entity' OR entity_name IS NOT NULL),
    CHECK (watch_type <> 'neighborhood' OR neighborhood IS NOT NULL)
);
