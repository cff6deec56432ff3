//! Plans as Postgres writes them with `FORMAT JSON`: what advice needs of them, and a tree for people.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

/// One step of a plan. What it "did" is only there when the statement was executed, and is the sum over all its loops,
/// but for rows and time, which are those of one loop.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    #[serde(rename = "Node Type")]
    pub(super) kind: String,
    #[serde(rename = "Schema")]
    pub(super) schema: Option<String>,
    #[serde(rename = "Relation Name")]
    pub(super) relation: Option<String>,
    #[serde(rename = "Alias")]
    pub(super) alias: Option<String>,
    #[serde(rename = "Index Name")]
    pub(super) index: Option<String>,
    #[serde(rename = "Filter")]
    pub(super) filter: Option<String>,
    #[serde(rename = "Index Cond")]
    index_condition: Option<String>,
    #[serde(rename = "Recheck Cond")]
    recheck_condition: Option<String>,
    #[serde(rename = "Join Filter")]
    join_filter: Option<String>,
    #[serde(rename = "Sort Key")]
    sort_key: Vec<String>,
    #[serde(rename = "Output")]
    output: Vec<String>,
    #[serde(rename = "Plan Rows")]
    plan_rows: f64,
    #[serde(rename = "Actual Rows")]
    actual_rows: Option<f64>,
    #[serde(rename = "Actual Loops")]
    loops: f64,
    #[serde(rename = "Actual Total Time")]
    actual_ms: f64,
    #[serde(rename = "Rows Removed by Filter")]
    removed: f64,
    #[serde(rename = "Sort Space Type")]
    sort_space: Option<String>,
    #[serde(rename = "Sort Space Used")]
    pub(super) sort_kib: u64,
    #[serde(rename = "Hash Batches")]
    hash_batches: u64,
    #[serde(rename = "Disk Usage")]
    pub(super) disk_kib: u64,
    #[serde(rename = "Temp Written Blocks")]
    pub(super) temp_blocks: u64,
    #[serde(rename = "Plans")]
    pub(super) inner: Vec<Self>,
}

/// A whole plan.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: Node,
    /// As Postgres gave it.
    pub(super) json: Value,
}

impl Plan {
    /// Reads what `EXPLAIN (FORMAT JSON)` answered. Of an answer in another shape, such as a later version's, nothing is
    /// understood and everything shown.
    pub(super) fn read(json: Value) -> Self {
        Self { root: Node::deserialize(&json[0]["Plan"]).unwrap_or_default(), json }
    }

    /// Whether nothing is written by it.
    pub(super) fn only_reads(&self) -> bool {
        !self.root.any(&|node| matches!(&*node.kind, "ModifyTable" | "LockRows"))
    }

    /// The plan as an indented tree, one line for each step.
    pub(super) fn tree(&self) -> String {
        let mut text = String::new();
        self.root.write(0, &mut text);
        text
    }
}

impl Node {
    /// Rows that were expected of one loop.
    pub(super) fn expected(&self) -> u64 {
        whole(self.plan_rows)
    }

    /// Rows that one loop gave, where it was executed.
    pub(super) fn given(&self) -> Option<u64> {
        self.actual_rows.filter(|_| self.loops >= 1.0).map(whole)
    }

    /// Rows that were looked at in all loops, where it was executed.
    pub(super) fn examined(&self) -> Option<u64> {
        self.actual_rows.map(|rows| whole((rows + self.removed) * self.loops))
    }

    /// Whether it wrote rows to files because its memory was too small.
    pub(super) fn spilled(&self) -> bool {
        self.sort_space.as_deref() == Some("Disk") || self.hash_batches > 1 || self.disk_kib > 0
    }

    /// Every condition on rows.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &str> {
        [&self.index_condition, &self.recheck_condition, &self.filter, &self.join_filter]
            .into_iter()
            .flatten()
            .map(|c| &**c)
    }

    /// Every text in which expressions may stand.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.conditions().chain(self.sort_key.iter().chain(&self.output).map(String::as_str))
    }

    /// The table's name as SQL.
    pub(super) fn table(&self) -> Option<String> {
        let relation = quoted(self.relation.as_deref()?);
        Some(self.schema.as_deref().map_or_else(|| relation.clone(), |schema| format!("{}.{relation}", quoted(schema))))
    }

    /// What it is called in advice.
    pub(super) fn name(&self) -> String {
        let mut name = self.kind.clone();
        for (word, part) in [("using", &self.index), ("on", &self.relation)] {
            if let Some(part) = part {
                // Writing to a String does not fail.
                let _ = write!(name, " {word} {part}");
            }
        }
        name
    }

    /// Calls `look` for this step and all below it, each after those below it.
    pub(super) fn visit<'a>(&'a self, look: &mut impl FnMut(&'a Self)) {
        self.inner.iter().for_each(|node| node.visit(look));
        look(self);
    }

    fn any(&self, is: &impl Fn(&Self) -> bool) -> bool {
        is(self) || self.inner.iter().any(|node| node.any(is))
    }

    fn write(&self, depth: usize, text: &mut String) {
        let _ = write!(text, "{:indent$}{}: {} rows expected", "", self.name(), self.expected(), indent = depth * 2);
        if let Some(given) = self.given() {
            let _ = write!(text, ", {given} given, {:.1} ms", self.actual_ms);
            if self.loops > 1.0 {
                let _ = write!(text, ", {} times", whole(self.loops));
            }
        } else if self.actual_rows.is_some() {
            text.push_str(", never asked");
        }
        text.push('\n');
        self.inner.iter().for_each(|node| node.write(depth + 1, text));
    }
}

/// Postgres gives rows as fractions where they are means over loops.
fn whole(rows: f64) -> u64 {
    rows.round() as u64
}

/// A name as SQL takes it, quoted where it has to be.
fn quoted(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain && !name.starts_with(|first: char| first.is_ascii_digit()) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
