//! What the stand-in serves: rows from JSON-lines files, or from a generated city.
//!
//! A file is taken for a dataset by its name, with the ending `.jsonl` or `.jsonl.gz`: the dataset's own name
//! (`permits.jsonl`), its identifier (`i98e-djp9.jsonl`), or one of [`OTHER_NAMES`]. When a folder has several
//! files for one dataset, the first of these that exists is served, because two extracts of one dataset repeat
//! its rows. Files of other names are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use crate::sample;
use crate::soda::datasets::{DATASETS, Dataset, From};

/// Names under which extracts of a dataset are passed around, beside its own.
const OTHER_NAMES: &[(&str, &str)] =
    &[("permits-slice", "permits"), ("permits-soda-native", "permits"), ("contacts-excerpt", "contacts")];

/// Every dataset that is served, by identifier.
pub(super) struct Tables {
    tables: BTreeMap<&'static str, Table>,
    served: Vec<(String, usize)>,
}

/// The rows of one dataset, in the order of their `:id`.
#[derive(Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    pub(super) fields: BTreeSet<String>,
}

/// One row as it goes over the wire, and what SODA only tells when asked.
pub(super) struct Row {
    pub(super) id: Box<str>,
    pub(super) created_at: Box<str>,
    pub(super) updated_at: Box<str>,
    pub(super) json: Box<str>,
}

impl Tables {
    /// Reads files and folders, then generates what they do not serve.
    pub(super) fn load(data: &[PathBuf], generate: Option<&sample::Options>) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        for path in data {
            let found = if path.is_dir() { in_folder(path)? } else { vec![single(path)?] };
            for (dataset, path) in found {
                files.entry(dataset.id).or_insert(path);
            }
        }
        let mut tables = BTreeMap::new();
        let mut served = Vec::new();
        for (id, path) in files {
            let table = Table::read(&path).with_context(|| format!("{} cannot be served", path.display()))?;
            served.push((format!("{id} from {}", path.display()), table.rows.len()));
            tables.insert(id, table);
        }
        if let Some(options) = generate {
            let mut generated: BTreeMap<&'static str, Table> = BTreeMap::new();
            sample::generate(options, &mut |dataset, line| {
                if !tables.contains_key(dataset.id) {
                    generated.entry(dataset.id).or_default().push_line(line)?;
                }
                Ok(())
            })?;
            for (id, table) in generated {
                served.push((format!("{id} generated"), table.rows.len()));
                tables.insert(id, table);
            }
        }
        for (id, table) in &mut tables {
            table.know_fields(id);
        }
        anyhow::ensure!(!tables.is_empty(), "nothing to serve: name files with --data, or a seed with --generate");
        Ok(Self { tables, served })
    }

    pub(super) fn get(&self, id: &str) -> Option<&Table> {
        self.tables.get(id)
    }

    /// A table that is about to change; a new one for a dataset of ours that is not served yet.
    pub(super) fn change(&mut self, id: &str) -> anyhow::Result<&mut Table> {
        let dataset = Dataset::find(id).with_context(|| format!("{id}: no dataset goes by this name"))?;
        let table = self.tables.entry(dataset.id).or_default();
        table.know_fields(dataset.id);
        Ok(table)
    }

    pub(super) fn served(&self) -> impl Iterator<Item = (&str, usize)> {
        self.served.iter().map(|(name, rows)| (name.as_str(), *rows))
    }
}

impl Table {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path)?;
        let gz = path.extension().is_some_and(|ending| ending == "gz");
        let reader: Box<dyn Read> = if gz { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut table = Self::default();
        for (index, line) in BufReader::new(reader).lines().enumerate() {
            let line = line?;
            if !line.trim().is_empty() {
                table.push_line(&line).with_context(|| format!("line {}", index + 1))?;
            }
        }
        table.rows.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(table)
    }

    /// A dataset has its fields whether or not a row has a value for them.
    fn know_fields(&mut self, id: &str) {
        let columns = Dataset::find(id).map_or(&[][..], |dataset| dataset.columns);
        self.fields.extend(columns.iter().filter_map(|column| match column.from {
            From::Field(name) => Some(name.to_owned()),
            _ => None,
        }));
    }

    /// Adds one row, made fit for the wire.
    pub(super) fn push_line(&mut self, line: &str) -> anyhow::Result<()> {
        let mut fields: Map<String, Value> = serde_json::from_str(line).context("not a JSON object")?;
        let mut as_sent = true;
        let mut system = |name: &str| {
            let value = fields.remove(name);
            as_sent &= value.is_none();
            value.and_then(|value| value.as_str().map(Into::into))
        };
        let (id, created_at, updated_at) = (system(":id"), system(":created_at"), system(":updated_at"));
        let before = fields.len();
        fields.retain(|_, value| !value.is_null());
        as_sent &= fields.len() == before;
        for (name, value) in &mut fields {
            if let Value::Number(number) = value {
                *value = Value::String(number.to_string());
                as_sent = false;
            }
            if !self.fields.contains(name) {
                self.fields.insert(name.clone());
            }
        }
        self.rows.push(Row {
            id: id.unwrap_or_else(|| made_up_id(self.rows.len())),
            created_at: created_at.unwrap_or_else(|| STAMP.into()),
            updated_at: updated_at.unwrap_or_else(|| STAMP.into()),
            json: if as_sent { line.trim().into() } else { Value::Object(fields).to_string().into() },
        });
        Ok(())
    }
}

impl Row {
    /// One of the three fields that SODA only tells when asked.
    pub(super) fn system(&self, name: &str) -> Option<&str> {
        match name {
            ":id" => Some(&self.id),
            ":created_at" => Some(&self.created_at),
            ":updated_at" => Some(&self.updated_at),
            _ => None,
        }
    }

    /// All fields, with the three that SODA only tells when asked.
    pub(super) fn fields(&self) -> Map<String, Value> {
        // Every row was parsed when it was read.
        let mut fields: Map<String, Value> = serde_json::from_str(&self.json).unwrap_or_default();
        for (name, value) in [(":id", &self.id), (":created_at", &self.created_at), (":updated_at", &self.updated_at)] {
            fields.insert(name.to_owned(), Value::String(value.to_string()));
        }
        fields
    }
}

const STAMP: &str = "2026-01-01T00:00:00.000Z";

/// An identifier in the shape of SODA's, rising with the row's place.
fn made_up_id(index: usize) -> Box<str> {
    const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
    let digit = |place: u32| char::from(ALPHABET[(index >> (5 * place)) & 31]);
    let group = |top: u32| (0..4).map(|place| digit(top - place)).collect::<String>();
    format!("row-{}-{}_{}", group(11), group(7), group(3)).into()
}

fn in_folder(folder: &Path) -> anyhow::Result<Vec<(&'static Dataset, PathBuf)>> {
    let mut found = Vec::new();
    for dataset in DATASETS {
        let others = OTHER_NAMES.iter().filter(|(_, name)| *name == dataset.name).map(|(other, _)| *other);
        let names = [dataset.name, dataset.id].into_iter().chain(others);
        let mut paths =
            names.flat_map(|name| ["jsonl", "jsonl.gz"].map(|ending| folder.join(format!("{name}.{ending}"))));
        if let Some(path) = paths.find(|path| path.is_file()) {
            found.push((dataset, path));
        }
    }
    anyhow::ensure!(!found.is_empty(), "{} has no file such as permits.jsonl or permits.jsonl.gz", folder.display());
    Ok(found)
}

fn single(path: &Path) -> anyhow::Result<(&'static Dataset, PathBuf)> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.trim_end_matches(".gz").trim_end_matches(".jsonl");
    let own = OTHER_NAMES.iter().find(|(other, _)| *other == stem).map_or(stem, |(_, own)| own);
    let dataset = Dataset::find(own).with_context(|| {
        format!("{}: no dataset goes by this name; call it permits.jsonl, for example", path.display())
    })?;
    Ok((dataset, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_made_fit_for_the_wire() {
        let mut table = Table::default();
        table.push_line(r#"{":id":"row-1",":updated_at":"u","a":"1"}"#).unwrap();
        table.push_line(r#"{"a":1.5,"b":null,"c":true,"d":{"x":1}}"#).unwrap();
        table.push_line(r#" {"a": "kept as it is"} "#).unwrap();
        assert!(table.push_line("[1]").is_err());
        let lines: Vec<_> = table.rows.iter().map(|row| &*row.json).collect();
        assert_eq!(lines, [r#"{"a":"1"}"#, r#"{"a":"1.5","c":true,"d":{"x":1}}"#, r#"{"a": "kept as it is"}"#]);
        assert_eq!((&*table.rows[0].id, &*table.rows[0].updated_at), ("row-1", "u"));
        assert_eq!(table.fields.iter().map(String::as_str).collect::<String>(), "acd");
    }

    #[test]
    fn made_up_identifiers_rise() {
        let ids: Vec<_> = [0, 1, 31, 32, 1_000, 20_000, 1_048_576].map(made_up_id).into();
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(&*ids[0], "row-2222-2222_2222");
    }
}
