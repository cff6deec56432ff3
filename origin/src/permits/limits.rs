//! Bounds on what one search or report asks of the database. Reaching one is said in the answer.

/// Longest search text, in characters; the longest address in the city's data has a third of it. A longer one
/// gets 400.
pub const QUERY_CHARS_MAX: usize = 120;

/// Permits on one page of results.
pub const PAGE_SIZE: u32 = 25;

/// Permit rows that are counted for a total and its facets; more are "at least". A walk over so many rows of an index
/// takes a few milliseconds.
pub const COUNTED_MAX: u32 = 1_000;

/// Permits that words of a description may match; of more, any so many are looked at and sorted, and the total says
/// "at least".
pub const WORD_MATCHES_MAX: u32 = 5_000;

/// Suggestions for what is being typed.
pub const SUGGESTIONS_MAX: i64 = 8;

/// Streets, the most used ones, that the beginning of an address is looked for on.
pub const SUGGEST_STREETS_MAX: i64 = 20;

/// Permit rows that are counted for a suggested address.
pub const SUGGEST_ROWS_MAX: i64 = 200;

/// Shortest text that is completed: one letter begins everything. The index `search_terms_suggested` holds as many letters.
pub const SUGGEST_CHARS_MIN: usize = 2;

/// Rows read for one page of results. A permit has one row for each of its addresses: 29 at most in the city's
/// data, so this holds 25 permits of twice that.
pub const PAGE_ROWS_MAX: u32 = 1500;

/// Shortest text looked up among people and firms: the index knows groups of three characters.
pub const NAME_CHARS_MIN: usize = 3;

/// Contacts that one name may match; of more, any so many are looked at, and the total says "at least". They and their
/// permits lie anywhere, a page of the disk each: of a million permits, 5,000 took 190 ms in the median. Totals are counted up
/// to half of this.
pub const NAME_MATCHES_MAX: u32 = 2_000;

/// Contacts with the name that are looked at for those whose permits pass filters.
pub const NAME_EXAMINED_MAX: u32 = 8_000;

/// Permit rows in a report. The largest parcel in the city's data has 150.
pub const PERMIT_ROWS_MAX: usize = 500;

/// Contacts in a report: four for each permit row.
pub const CONTACTS_MAX: usize = 2000;

/// Inspections in a report: four for each permit row.
pub const INSPECTIONS_MAX: usize = 2000;

/// Plan-review steps in a report: the current revision of the open permits, a dozen each.
pub const STEPS_MAX: usize = 2000;

/// Longest permit number; the longest of the city's have thirteen characters.
pub const PERMIT_NUMBER_BYTES_MAX: usize = 40;

/// Rows of each list of one permit: the largest has 29 addresses, and a long review some two hundred steps.
pub const PERMIT_LIST_MAX: usize = 500;

/// Stations whose velocity is read, each kind of review for itself. The city has fewer than a hundred stations.
pub const STATIONS_MAX: i64 = 400;

/// Complaints in a report.
pub const COMPLAINTS_MAX: usize = 200;

/// Notices of violation in a report.
pub const VIOLATIONS_MAX: usize = 300;

/// How many times as long the lists of a report may be that a job makes: an address that stands for a whole airport.
pub const WHOLE_TIMES: usize = 10;

/// Tax rolls in a report, a year each.
pub const TAX_ROLLS_MAX: usize = 5;

/// Records of the planning department in a report, the newest.
pub const PLANNING_MAX: usize = 50;

/// Records of the planning department that a search shows, the newest; the report of the parcel has more.
pub const PLANNING_FOUND_MAX: i64 = 8;

/// Records, and their parcels, that one beginning of a number or an address is followed to. The busiest address has some hundred.
pub const PLANNING_EXAMINED_MAX: i64 = 200;

/// Permits nearby, and finished ones like the parcel's newest.
pub const NEARBY_MAX: usize = 10;
/// As [`NEARBY_MAX`].
pub const SIMILAR_MAX: usize = 5;

/// The newest permits of a neighborhood among which similar ones are looked for: about half a year's.
pub const NEIGHBORS_EXAMINED_MAX: u32 = 500;

/// Other lots at the parcel's addresses.
pub const FORMER_LOTS_MAX: usize = 20;

/// People and firms of a parcel, the most frequent ones.
pub const TEAM_MAX: usize = 20;

/// Permits on the page of a person or firm, the newest ones, and how many by number are looked at for these and for whom it
/// works with: numbers begin with the year, mostly.
pub const FIRM_PERMITS_MAX: usize = 50;
/// As [`FIRM_PERMITS_MAX`].
pub const FIRM_PERMITS_EXAMINED_MAX: usize = 500;

/// People and firms that one works with, the most frequent ones.
pub const ASSOCIATES_MAX: usize = 20;

/// Longest wait at a station that is listed among stuck permits. Longer ones are counted: mostly applications that nobody
/// follows any more.
pub const STUCK_DAYS_MAX: i32 = 365;

/// Waits, and permits with comments, that are looked at, the newest first. The city has some 40,000; with more, the figures say
/// "at least".
pub const STUCK_EXAMINED_MAX: i64 = 50_000;

/// Stuck permits that are listed: two screens of a table.
pub const STUCK_LISTED_MAX: i64 = 60;

/// Addresses of one list of the sitemap: what the page cache takes. The protocol allows 50,000
/// (<https://www.sitemaps.org/protocol.html>).
pub const LISTED_MAX: i64 = 2_000;
