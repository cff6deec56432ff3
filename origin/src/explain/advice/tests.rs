use serde_json::{Value, json};

use super::*;

fn statement() -> Statement {
    Statement {
        id: 1,
        sql: Some("SELECT 1".to_owned()),
        calls: 0,
        total_us: 1_000,
        rows: 0,
        blocks_hit: 0,
        blocks_read: 0,
        temp_blocks: 0,
    }
}

/// The advice on a plan over one table `t` of so many rows, as kinds and SQL.
fn advised(rows: Option<u64>, plan: Value) -> Vec<(Kind, Option<String>)> {
    let plan = Plan::read(json!([{ "Plan": plan }]));
    let tables = BTreeMap::from([("t".to_owned(), Table { rows })]);
    advise(&statement(), Some(&plan), &tables).into_iter().map(|advice| (advice.kind, advice.sql)).collect()
}

fn scan(further: Value) -> Value {
    let mut node = json!({ "Node Type": "Seq Scan", "Relation Name": "t", "Alias": "t", "Plan Rows": 1 });
    if let (Some(node), Some(further)) = (node.as_object_mut(), further.as_object()) {
        node.extend(further.clone());
    }
    node
}

#[test]
fn large_tables_are_not_read_whole() {
    let index = |columns: &str| Some(format!("CREATE INDEX CONCURRENTLY ON t ({columns})"));
    for (rows, node, expect) in [
        (9_999, json!({ "Filter": "(t.a = $1)" }), vec![]),
        (10_000, json!({ "Filter": "(t.a = $1)" }), vec![(Kind::SequentialScan, index("a"))]),
        (
            10_000,
            json!({ "Filter": "((t.b > $2) AND (t.a = $1) AND ((t.c)::text = 'x'::text))" }),
            vec![(Kind::SequentialScan, index("a, ((c)::text), b"))],
        ),
        (10_000, json!({ "Filter": "(lower(t.a) = $1)" }), vec![(Kind::SequentialScan, index("lower(a)"))]),
        (10_000, json!({ "Filter": "((t.a = $1) OR (t.b = $2))" }), vec![(Kind::SequentialScan, None)]),
        (10_000, json!({ "Filter": "(t.a = t.b)" }), vec![(Kind::SequentialScan, None)]),
        // Most rows are kept: an index would be no help.
        (10_000, json!({ "Filter": "(t.a = $1)", "Plan Rows": 5_000 }), vec![(Kind::SequentialScan, None)]),
        (10_000, json!({ "Plan Rows": 10_000 }), vec![(Kind::SequentialScan, None)]),
        // It ended early.
        (10_000, json!({ "Actual Rows": 1.0, "Actual Loops": 1, "Filter": "(t.a = $1)" }), vec![]),
    ] {
        assert_eq!(advised(Some(rows), scan(node.clone())), expect, "{rows} {node}");
    }
    assert_eq!(advised(None, scan(json!({}))), [(Kind::NoStatistics, Some("ANALYZE t".to_owned()))]);
}

#[test]
fn an_index_that_finds_too_much_is_named() {
    let node = json!({
        "Node Type": "Index Scan", "Relation Name": "t", "Alias": "t", "Index Name": "t_b", "Index Cond": "(t.b = $1)",
        "Filter": "(t.a = $2)", "Plan Rows": 5, "Actual Rows": 5, "Actual Loops": 1, "Rows Removed by Filter": 20_000,
    });
    assert_eq!(
        advised(Some(100_000), node),
        [(Kind::MissingIndex, Some("CREATE INDEX CONCURRENTLY ON t (a)".to_owned()))]
    );
}

#[test]
fn estimates_are_compared_with_what_came() {
    let estimate =
        |expected: u64, given: u64| scan(json!({ "Plan Rows": expected, "Actual Rows": given, "Actual Loops": 1 }));
    for (expected, given, is_wrong) in
        [(10, 99, false), (10, 100, true), (1, 9, false), (2_000, 150, true), (0, 100, true)]
    {
        let found = advised(Some(5), estimate(expected, given));
        assert_eq!(found.iter().any(|(kind, _)| *kind == Kind::Misestimate), is_wrong, "{expected} {given}");
    }
    let limited = json!({ "Node Type": "Limit", "Plan Rows": 1, "Actual Rows": 1, "Actual Loops": 1,
                          "Plans": [estimate(2_000, 1)] });
    assert_eq!(advised(Some(5), limited), []);
}

#[test]
fn what_was_written_to_files_is_told() {
    for (node, expect) in [
        (json!({ "Node Type": "Sort", "Sort Space Type": "Disk", "Sort Space Used": 4_096 }), true),
        (json!({ "Node Type": "Sort", "Sort Space Type": "Memory", "Sort Space Used": 4_096 }), false),
        (json!({ "Node Type": "Hash", "Hash Batches": 8 }), true),
        (json!({ "Node Type": "Hash", "Hash Batches": 1 }), false),
        (json!({ "Node Type": "Aggregate", "Disk Usage": 64 }), true),
    ] {
        assert_eq!(advised(None, node.clone()).iter().any(|(kind, _)| *kind == Kind::Spill), expect, "{node}");
    }
}

#[test]
fn figures_of_all_calls_are_judged_without_a_plan() {
    let of = |statement: Statement| -> Vec<Kind> {
        advise(&statement, None, &BTreeMap::new()).into_iter().map(|advice| advice.kind).collect()
    };
    assert_eq!(of(statement()), []);
    assert_eq!(of(Statement { temp_blocks: 1, ..statement() }), [Kind::Spill]);
    assert_eq!(of(Statement { blocks_hit: 899, blocks_read: 101, ..statement() }), [Kind::BufferMisses]);
    assert_eq!(of(Statement { blocks_hit: 900, blocks_read: 100, ..statement() }), []);
    assert_eq!(of(Statement { blocks_read: 999, ..statement() }), []);
}
