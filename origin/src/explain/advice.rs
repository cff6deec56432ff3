//! What a plan and the figures of a statement suggest.

use std::collections::BTreeMap;

use serde::Serialize;

use super::condition::{aliases, comparisons};
use super::plan::{Node, Plan};
use super::statement::Statement;

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// A statement that may mend it. Nothing runs it but an operator who has thought about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sql: Option<String>,
}

/// What an advice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A large table is read from its beginning to its end.
    SequentialScan,
    /// Many rows are fetched and then thrown away.
    MissingIndex,
    /// A step gives ten times as many rows as expected, or a tenth.
    Misestimate,
    /// Rows are written to files because memory was too small.
    Spill,
    /// The table's pages are not in memory.
    BufferMisses,
    /// The planner knows nothing of a table.
    NoStatistics,
}

/// What the catalog says of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// Rows; `None` when nobody has counted yet.
    pub(super) rows: Option<u64>,
}

/// Everything that is to be said, the plan's leaves first.
pub(super) fn advise(statement: &Statement, plan: Option<&Plan>, tables: &BTreeMap<String, Table>) -> Vec<Advice> {
    let mut all = Vec::new();
    if let Some(plan) = plan {
        plan.root.visit(&mut |node| all.extend(on_table(node, tables)));
        let mut worst: Option<(u64, Advice)> = None;
        worst_estimate(&plan.root, false, &mut worst);
        all.extend(worst.map(|(_, advice)| advice).or_else(|| by_calls(statement, plan)));
        plan.root.visit(&mut |node| all.extend(spill(node)));
    }
    if statement.temp_blocks > 0 && !all.iter().any(|advice| advice.kind == Kind::Spill) {
        let mib = (statement.temp_blocks * BLOCK_BYTES).div_ceil(1 << 20);
        let text = format!("its calls wrote {mib} MiB to files, because work_mem was too small for a sort or a hash");
        all.push(Advice { kind: Kind::Spill, text, sql: None });
    }
    all.extend(buffers(statement));
    all.dedup();
    all
}

fn on_table(node: &Node, tables: &BTreeMap<String, Table>) -> Option<Advice> {
    let table = node.table()?;
    let known = tables.get(&table)?;
    let Some(rows) = known.rows else {
        let text = format!("nobody has counted {table}, so the planner guesses");
        return Some(Advice { kind: Kind::NoStatistics, text, sql: Some(format!("ANALYZE {table}")) });
    };
    let is_sequential = node.kind == "Seq Scan";
    // What was really looked at, where it was executed: a scan may end early.
    let examined = node.examined().unwrap_or(if is_sequential { rows } else { 0 });
    if examined < EXAMINED_MANY {
        return None;
    }
    let kept = node.given().unwrap_or_else(|| node.expected());
    let wasted = node.filter.is_some() && kept.saturating_mul(WASTE) < examined;
    let sql = node.filter.as_deref().filter(|_| wasted).and_then(|filter| index(node, &table, filter));
    let hint = if sql.is_some() { "; an index may find them" } else { "" };
    match (is_sequential, wasted) {
        (true, true) => {
            let text = format!("reads all {examined} rows of {table} and keeps {kept}{hint}");
            Some(Advice { kind: Kind::SequentialScan, text, sql })
        }
        (true, false) => {
            let text = format!("reads all {examined} rows of {table}: ask for less, or keep the answer (page_cache)");
            Some(Advice { kind: Kind::SequentialScan, text, sql: None })
        }
        (false, true) => {
            let text = format!("{} looks at {examined} rows and keeps {kept}{hint}", node.name());
            Some(Advice { kind: Kind::MissingIndex, text, sql })
        }
        (false, false) => None,
    }
}

/// An index on what a filter compares: first what is equal, then one range.
fn index(node: &Node, table: &str, filter: &str) -> Option<String> {
    let alias = node.alias.as_deref()?;
    let (mut equal, mut range) = (Vec::new(), None);
    for comparison in comparisons(filter, false) {
        let of_table = |side: &str| aliases(side).is_some_and(|found| found == [alias]);
        let column = match (of_table(comparison.left), of_table(comparison.right)) {
            (true, false) => comparison.left,
            (false, true) => comparison.right,
            // It compares a row with itself, or nothing of the table.
            _ => continue,
        };
        let column = column.replace(&format!("{alias}."), "");
        // An expression needs parentheses of its own, a function call as little as a column.
        let column = if column.starts_with('(') { format!("({column})") } else { column };
        match comparison.operator {
            "=" if !equal.contains(&column) => equal.push(column),
            "<" | "<=" | ">" | ">=" => range = range.or(Some(column)),
            _ => {}
        }
    }
    equal.extend(range);
    equal.truncate(INDEX_COLUMNS_MAX);
    (!equal.is_empty()).then(|| format!("CREATE INDEX CONCURRENTLY ON {table} ({})", equal.join(", ")))
}

/// The step that was misjudged most. One error is inherited by every step above it, so of equals the lowest counts.
fn worst_estimate(node: &Node, below_limit: bool, worst: &mut Option<(u64, Advice)>) {
    let below = below_limit || node.kind == "Limit";
    node.inner.iter().for_each(|inner| worst_estimate(inner, below, worst));
    let Some(given) = node.given() else { return };
    let expected = node.expected();
    // Below a LIMIT a step is not asked for all that it has.
    if below_limit && given < expected {
        return;
    }
    if let Some(factor) = misjudged(expected, given)
        && worst.as_ref().is_none_or(|(most, _)| factor > *most)
    {
        let text = format!(
            "{} was expected to give {expected} rows and gave {given}: ANALYZE its tables, then CREATE STATISTICS on \
             columns that depend on each other",
            node.name()
        );
        *worst = Some((factor, Advice { kind: Kind::Misestimate, text, sql: None }));
    }
}

/// Without having executed it: the rows of all calls beside those that the plan for any parameters expects.
fn by_calls(statement: &Statement, plan: &Plan) -> Option<Advice> {
    // What a LIMIT that is a parameter lets through, nobody expects rightly.
    if plan.root.given().is_some() || plan.root.kind == "Limit" || !plan.only_reads() {
        return None;
    }
    let (given, expected) = (statement.rows.checked_div(statement.calls)?, plan.root.expected());
    misjudged(expected, given)?;
    let text = format!("the plan for any parameters expects {expected} rows, and its calls gave {given} each");
    Some(Advice { kind: Kind::Misestimate, text, sql: None })
}

/// By which factor, if it is so large that it changes plans.
fn misjudged(expected: u64, given: u64) -> Option<u64> {
    let (less, more) = (expected.min(given).max(1), expected.max(given));
    let factor = more / less;
    (factor >= MISJUDGED && more >= ROWS_THAT_MATTER).then_some(factor)
}

fn spill(node: &Node) -> Option<Advice> {
    if !node.spilled() {
        return None;
    }
    let kib = [node.sort_kib, node.disk_kib, node.temp_blocks * BLOCK_BYTES / 1024].into_iter().max().unwrap_or(0);
    let text = format!(
        "{} wrote {kib} KiB to files: sort fewer or narrower rows, or give it work_mem ({}MB would do), by a role of its own",
        node.name(),
        // What is on disk is packed; in memory it takes about twice as much.
        (kib * 2).div_ceil(1024).max(1),
    );
    Some(Advice { kind: Kind::Spill, text, sql: None })
}

fn buffers(statement: &Statement) -> Option<Advice> {
    let blocks = statement.blocks_hit + statement.blocks_read;
    if blocks < BLOCKS_THAT_MATTER || statement.blocks_hit * 1000 >= blocks * HIT_PERMILLE_MIN {
        return None;
    }
    let text = format!(
        "{} % of the pages it looked at were in memory ({blocks} in all): read fewer (an index), or raise shared_buffers",
        statement.blocks_hit * 100 / blocks
    );
    Some(Advice { kind: Kind::BufferMisses, text, sql: None })
}

/// Fewer rows than these are read in a millisecond or so, whatever the plan.
const EXAMINED_MANY: u64 = 10_000;
/// So many times more rows are looked at than kept before an index is worth its upkeep.
const WASTE: u64 = 10;
/// The factor from which an estimate leads to other plans.
const MISJUDGED: u64 = 10;
/// Below this many rows every plan is quick.
const ROWS_THAT_MATTER: u64 = 100;
/// Pages of all calls; fewer say nothing of what stays in memory.
const BLOCKS_THAT_MATTER: u64 = 1_000;
/// A site whose tables fit has 99 of 100 pages in memory.
const HIT_PERMILLE_MIN: u64 = 900;
/// Further columns of an index rarely narrow it.
const INDEX_COLUMNS_MAX: usize = 3;
/// Of Postgres, unless it was built otherwise.
const BLOCK_BYTES: u64 = 8_192;

#[cfg(test)]
mod tests;
