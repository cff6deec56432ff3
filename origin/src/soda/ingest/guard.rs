//! Whether what was read may replace what we hold.
//!
//! A load makes our table equal to the city's dataset, so a dataset that comes out wrong would be copied as
//! faithfully as a right one. Field names are the usual way: the city renames one, and every row lacks a required
//! value, or a whole column is empty.

use std::collections::BTreeMap;

use super::{Extent, LoadError, Shrink};
use crate::soda::row::Refusal;

/// Refused rows, of a hundred read. The city's rows are refused one by one, if at all; a renamed field refuses all of
/// them, and the part of a dataset that lacks it is then a tenth at least.
pub const REFUSED_PERCENT_MAX: u64 = 10;

/// Rows of changes from which on that many refused ones end a load. Of fewer, one odd row is a tenth, and would keep the
/// others out every night until it is mended; a renamed field shows with the next load of all.
const CHANGES_ROWS_MIN: u64 = 100;

/// Deleted rows, of a hundred held. The city withdraws a few rows a night, and a row without a key of its own that
/// changes is deleted and inserted; a tenth of a dataset is more than a month of both.
pub const DELETED_PERCENT_MAX: u64 = 10;

/// Rows with a value in a column, of a hundred held, from which on the column cannot be empty all at once. A column
/// that fewer rows use may lose them.
pub const FILLED_PERCENT_MIN: u64 = 1;

/// How full one column is, in our table and in what was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled {
    pub(super) column: &'static str,
    /// Rows of ours with a value.
    pub(super) held: u64,
    /// Rows read with a value.
    pub(super) read: u64,
}

/// Refuses a load of which too many rows were refused. There is no way around it: what is not read cannot be stored.
pub(super) fn refusals(read: u64, refused: &BTreeMap<Refusal, u64>, extent: Extent) -> Result<(), LoadError> {
    if extent == Extent::Changes && read < CHANGES_ROWS_MIN {
        return Ok(());
    }
    let rows = refused.values().sum();
    match refused.iter().max_by_key(|(_, rows)| **rows) {
        Some((reason, _)) if exceeds(rows, REFUSED_PERCENT_MAX, read) => {
            Err(LoadError::Refused { refused: rows, read, reason: *reason })
        }
        _ => Ok(()),
    }
}

/// Refuses a load that empties a column which we have in use.
pub(super) fn columns(held: u64, columns: &[Filled], shrink: Shrink) -> Result<(), LoadError> {
    let lost = |column: &&Filled| column.read == 0 && exceeds(column.held, FILLED_PERCENT_MIN, held);
    let columns: Vec<_> = columns.iter().filter(lost).map(|column| column.column).collect();
    if shrink == Shrink::Allow || columns.is_empty() { Ok(()) } else { Err(LoadError::Emptied { columns }) }
}

/// Refuses a load that deletes too much.
pub(super) fn deletions(held: u64, deleted: u64, shrink: Shrink) -> Result<(), LoadError> {
    if shrink == Shrink::Allow || !exceeds(deleted, DELETED_PERCENT_MAX, held) {
        return Ok(());
    }
    Err(LoadError::Shrunk { deleted, held })
}

/// Whether `part` is more than so many hundredths of `whole`. Both are at most a table's rows, so neither saturates.
fn exceeds(part: u64, percent: u64, whole: u64) -> bool {
    part.saturating_mul(100) > whole.saturating_mul(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_refused_rows_end_the_load_with_their_most_common_reason() {
        let missing = |rows| (Refusal::Missing("permit_number"), rows);
        let repeated = |rows| (Refusal::Repeated("record_id"), rows);
        for (read, refused, message) in [
            (0, vec![], None),
            (100, vec![], None),
            (100, vec![missing(10)], None),
            (100, vec![missing(7), repeated(3)], None),
            (
                100,
                vec![missing(7), repeated(4)],
                Some("11 of 100 rows were refused, most because permit_number is missing"),
            ),
            (
                20_000,
                vec![missing(20_000)],
                Some("20,000 of 20,000 rows were refused, most because permit_number is missing"),
            ),
            (1, vec![missing(1)], Some("1 of 1 rows were refused, most because permit_number is missing")),
        ] {
            let refused = refused.into_iter().collect();
            let error = refusals(read, &refused, Extent::Whole).map_err(|error| error.to_string());
            match message {
                None => assert_eq!(error, Ok(()), "{read} {refused:?}"),
                Some(message) => assert!(error.as_ref().is_err_and(|error| error.contains(message)), "{error:?}"),
            }
        }
    }

    #[test]
    fn few_changes_may_be_refused_all_of_them() {
        for (read, passes) in [(1, true), (CHANGES_ROWS_MIN - 1, true), (CHANGES_ROWS_MIN, false)] {
            let refused = BTreeMap::from([(Refusal::Missing("permit_number"), read)]);
            assert_eq!(refusals(read, &refused, Extent::Changes).is_ok(), passes, "{read}");
            assert!(refusals(read, &refused, Extent::Whole).is_err(), "{read}");
        }
    }

    #[test]
    fn a_column_in_use_cannot_be_empty_all_at_once() {
        let filled = |held, read| Filled { column: "block", held, read };
        for (held, column, lost) in [
            (1_000, filled(1_000, 0), true),
            (1_000, filled(11, 0), true),
            (1_000, filled(10, 0), false),
            (1_000, filled(0, 0), false),
            (1_000, filled(1_000, 1), false),
            (0, filled(0, 0), false),
        ] {
            assert_eq!(columns(held, &[column], Shrink::Refuse).is_err(), lost, "{column:?}");
            assert!(columns(held, &[column], Shrink::Allow).is_ok(), "{column:?}");
        }
        let lost = [filled(9, 0), Filled { column: "lot", ..filled(9, 1) }, Filled { column: "unit", ..filled(9, 0) }];
        let error = columns(9, &lost, Shrink::Refuse).unwrap_err().to_string();
        assert!(error.contains("block, unit") && !error.contains("lot"), "{error}");
    }

    #[test]
    fn a_table_does_not_shrink_by_much_unless_it_is_allowed_to() {
        for (held, deleted, refused) in [
            (0, 0, false),
            (1_000, 0, false),
            (1_000, 100, false),
            (1_000, 101, true),
            (1_000, 1_000, true),
            (1, 1, true),
        ] {
            assert_eq!(deletions(held, deleted, Shrink::Refuse).is_err(), refused, "{deleted} of {held}");
            assert!(deletions(held, deleted, Shrink::Allow).is_ok(), "{deleted} of {held}");
        }
    }
}
