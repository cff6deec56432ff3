-- What was purged, in order, for processes that keep pages in memory alone: who knows all up to one place asks for what came
-- after it. The row without a tag holds the last place; whoever purges takes it first, so places are seen in their order.
CREATE TABLE purged_tags (
    tag   text PRIMARY KEY,
    place bigint NOT NULL
);
CREATE INDEX purged_tags_place ON purged_tags (place);
INSERT INTO purged_tags VALUES ('', 0);
