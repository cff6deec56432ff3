//! Generates a city: permits and what hangs on them, in the shape in which the city's API sends them.
//!
//! The same seed, size and day give the same bytes, on any machine. Streets, neighbourhoods and stations are San
//! Francisco's, shares and odd spots follow its published data; people and firms are made up from lists of trees,
//! stones and trades.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;
use jiff::civil::{Date, date};

use crate::soda::datasets::{DATASETS, Dataset};

mod calendar;
mod contact;
mod dice;
mod enforcement;
mod inspection;
mod line;
mod permit;
mod place;
mod planning;
mod property;
mod routing;
mod trades;

use dice::Dice;
use permit::Permit;
use place::{Map, Parcel};

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where every choice comes from.
    pub seed: u64,
    /// Permit rows; everything else follows in proportion.
    pub permits: u32,
    /// The day on which the city is looked at. Nothing is dated after it.
    pub today: Date,
}

impl Default for Options {
    fn default() -> Self {
        // A fixed day: output that followed the calendar would not be the same twice.
        Self { seed: 1, permits: 20_000, today: date(2026, 11, 1) }
    }
}

/// Most permit rows: the identifiers of one day then still do not run out. The real city has 1.3 million.
pub const PERMITS_MAX: u32 = 2_000_000;

/// Takes the rows as they are made: the dataset, and the row as one line of JSON.
pub type Emit<'a> = &'a mut dyn FnMut(&'static Dataset, &str) -> anyhow::Result<()>;

/// Generates the city, row by row; memory holds one parcel.
///
/// # Errors
/// Those of `emit`, and more than [`PERMITS_MAX`] permits.
pub fn generate(options: &Options, emit: Emit<'_>) -> anyhow::Result<()> {
    anyhow::ensure!(options.permits <= PERMITS_MAX, "at most {PERMITS_MAX} permits can be generated");
    let [more, plans] = [OTHER_STREAM, PLANNING_STREAM].map(|stream| Dice::new(options.seed ^ stream));
    let mut city =
        City { dice: Dice::new(options.seed), more, plans, map: Map::default(), numbers: Numbers::default(), options };
    let mut left = options.permits;
    if left >= place::LANDMARK_PERMITS {
        left -= city.parcel(place::landmark(), place::LANDMARK_PERMITS, Addresses::One, emit)?;
    }
    while left > 0 {
        let parcel = city.map.next(&mut city.dice);
        let rows = parcel_rows(&mut city.dice).min(left);
        left -= city.parcel(parcel, rows, Addresses::Several, emit)?;
    }
    Ok(())
}

/// Writes one file for each dataset into `folder`, such as `permits.jsonl`, and returns how many rows each has.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(options: &Options, folder: &Path) -> anyhow::Result<Vec<(&'static str, u64)>> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    let mut files = BTreeMap::new();
    for dataset in DATASETS {
        let path = folder.join(format!("{}.jsonl", dataset.name));
        let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        files.insert(dataset.id, (BufWriter::new(file), 0));
    }
    generate(options, &mut |dataset, line| {
        // A file was made for every dataset above.
        if let Some((file, rows)) = files.get_mut(dataset.id) {
            writeln!(file, "{line}").context("the sample cannot be written; is the disk full?")?;
            *rows += 1;
        }
        Ok(())
    })?;
    let mut written = Vec::new();
    for dataset in DATASETS {
        if let Some((mut file, rows)) = files.remove(dataset.id) {
            file.flush().context("the sample cannot be written; is the disk full?")?;
            written.push((dataset.name, rows));
        }
    }
    Ok(written)
}

/// Sets the second stream of choices apart from the first, and the third from both.
const OTHER_STREAM: u64 = 0x72_6164_6573;
const PLANNING_STREAM: u64 = 0x70_6C61_6E73;

struct City<'a> {
    dice: Dice,
    /// For the trades and the assessor, so that what they do leaves the rest of the city as it is.
    more: Dice,
    /// For the planning department, likewise.
    plans: Dice,
    map: Map,
    numbers: Numbers,
    options: &'a Options,
}

/// Whether a permit may cover several addresses, which gives it several rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Addresses {
    One,
    Several,
}

/// The counters behind the city's identifiers.
#[derive(Default)]
struct Numbers {
    permit_rows: u64,
    permits_of_day: BTreeMap<i32, u32>,
    contacts: u64,
    steps: u64,
    complaints_of_year: BTreeMap<i16, u32>,
    items: u64,
    trade_permits: u64,
    businesses: u64,
    planning_records: u64,
}

impl City<'_> {
    /// Generates one parcel with `rows` permit rows, and returns how many there were.
    fn parcel(&mut self, parcel: Parcel, rows: u32, addresses: Addresses, emit: Emit<'_>) -> anyhow::Result<u32> {
        let today = self.options.today;
        let mut done = 0;
        while done < rows {
            // One permit in nine has several addresses; that makes 20,000 rows of about 17,000 permits.
            let several = addresses == Addresses::Several && self.dice.chance(110);
            let copies = if several { self.dice.between(2, 5).min(rows - done) } else { 1 };
            let permit = Permit::new(&mut self.dice, &mut self.numbers, today);
            for copy in 0..copies {
                emit(permit::DATASET, &permit.row(&mut self.dice, &mut self.numbers, &parcel, copy, today))?;
            }
            done += copies;
            contact::emit(&mut self.dice, &mut self.numbers, &permit, today, emit)?;
            routing::emit(&mut self.dice, &mut self.numbers, &permit, today, emit)?;
            inspection::emit(&mut self.dice, &permit, &parcel, today, emit)?;
        }
        enforcement::emit(&mut self.dice, &mut self.numbers, &parcel, rows, today, emit)?;
        trades::emit(&mut self.more, &mut self.numbers, &parcel, rows, today, emit)?;
        property::emit(&mut self.more, &mut self.numbers, &parcel, today, emit)?;
        planning::emit(&mut self.plans, &mut self.numbers, &parcel, today, emit)?;
        Ok(rows)
    }
}

/// How many permit rows a parcel has: most have one, a few have dozens.
fn parcel_rows(dice: &mut Dice) -> u32 {
    match dice.below(1000) {
        0..=529 => 1,
        530..=729 => 2,
        730..=829 => 3,
        830..=969 => dice.between(4, 9),
        970..=996 => dice.between(10, 25),
        _ => dice.between(26, 80),
    }
}

#[cfg(test)]
mod tests;
