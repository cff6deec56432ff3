-- What the indexes of migration 0017 do as well.
DROP INDEX permits_words;
DROP INDEX permit_changes_change_date;
