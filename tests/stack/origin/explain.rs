use anyhow::{Context, Result};
use serde_json::Value;

use crate::support::Database;

/// Runs `origin explain`; what it printed, and whether it succeeded.
fn explain(database: &Database, arguments: &[&str]) -> Result<(bool, String)> {
    let output = database.origin.command(&[&["explain"], arguments].concat()).output()?;
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    Ok((output.status.success(), text))
}

/// The explanation of the statement that begins so.
fn of<'a>(explained: &'a Value, beginning: &str) -> Result<&'a Value> {
    let statements = explained["statements"].as_array().context("no list of statements")?;
    let is_it = |one: &&Value| one["statement"].as_str().is_some_and(|sql| sql.starts_with(beginning));
    statements.iter().find(is_it).with_context(|| format!("nothing begins with {beginning:?} in {explained:#}"))
}

fn advice(explanation: &Value) -> Vec<(&str, &str)> {
    let advice = explanation["advice"].as_array().into_iter().flatten();
    advice.map(|one| (one["kind"].as_str().unwrap_or_default(), one["sql"].as_str().unwrap_or_default())).collect()
}

/// Statements of a site in every shape that the command tells apart: what it runs and what it only plans, and what it says
/// of each. None that writes or acts is executed.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_dearest_statements_are_explained_and_nothing_is_changed() -> Result<()> {
    let database = Database::create_empty("explain")?;
    let (succeeded, text) = explain(&database, &[])?;
    assert!(!succeeded && text.contains("CREATE EXTENSION pg_stat_statements"), "{text}");

    let client = database.connect().await?;
    client
        .batch_execute(
            "CREATE EXTENSION pg_stat_statements;
             CREATE TABLE visits (id int, block text, lot text, note text, seen timestamptz DEFAULT now());
             INSERT INTO visits SELECT n, (n / 10)::text, (n % 10)::text, repeat('x', 50) FROM generate_series(1, 40000) n;
             CREATE SEQUENCE counted;
             ANALYZE visits;",
        )
        .await?;
    client.batch_execute("SELECT pg_stat_statements_reset()").await?;
    // As pages ask: with parameters, and constants between them.
    for lot in ["1", "2"] {
        client
            .query(
                "SELECT note FROM visits WHERE block = ANY($1) AND lot = $2 ORDER BY id LIMIT 5 + 1",
                &[&vec!["7"], &lot],
            )
            .await?;
        client.query("SELECT count(*) FROM visits WHERE note || $1 = lot", &[&lot]).await?;
    }
    client
        .batch_execute(
            "SET work_mem = '64kB'; SELECT id FROM visits ORDER BY note, id DESC; RESET work_mem;
             SELECT count(*), nextval('counted') FROM visits;
             UPDATE visits SET note = 'y' WHERE block = '9';
             SELECT count(*) FROM visits WHERE seen > now() - interval '1 day';
             SELECT 1 + 2 FROM visits;
             CREATE INDEX visits_seen ON visits (seen)",
        )
        .await?;
    let before =
        client.query_one("SELECT last_value, (SELECT count(*) FROM visits WHERE note = 'y') FROM counted", &[]).await?;

    let (succeeded, text) = explain(&database, &["--json"])?;
    assert!(succeeded, "{text}");
    let explained: Value = serde_json::from_str(&text).with_context(|| text.clone())?;

    let page = of(&explained, "SELECT note FROM visits")?;
    assert_eq!(page["calls"], 2);
    assert_eq!(page["executed_with"]["$1"], "'{0}'", "{page:#}");
    assert_eq!(page["executed_with"]["$2"], "'1'", "values of one row: {page:#}");
    assert_eq!(page["plan"][0]["Plan"]["Actual Rows"], 1.0, "{page:#}");
    let index = "CREATE INDEX CONCURRENTLY ON public.visits (block, lot)";
    assert!(advice(page).contains(&("sequential-scan", index)), "{page:#}");

    let expression = of(&explained, "SELECT count(*) FROM visits WHERE note ||")?;
    assert_eq!(expression["not_executed"], "nothing says what $1 stands for", "{expression:#}");
    assert!(
        expression["plan"][0]["Plan"]["Node Type"].is_string() && expression["plan"][0]["Execution Time"].is_null()
    );

    let sorted = of(&explained, "SELECT id FROM visits ORDER BY")?;
    assert!(advice(sorted).iter().any(|(kind, _)| *kind == "spill"), "{sorted:#}");
    assert!(sorted["plan"][0]["Execution Time"].is_number(), "{sorted:#}");

    assert_eq!(of(&explained, "SELECT count(*), nextval")?["not_executed"], "it may call nextval(), which is volatile");
    assert_eq!(of(&explained, "UPDATE visits")?["not_executed"], "it writes");
    let interval = of(&explained, "SELECT count(*) FROM visits WHERE seen")?;
    assert!(interval["plan"][0]["Plan"]["Node Type"].is_string(), "{interval:#}");
    let without_plan = explained["without_plan"].to_string();
    assert!(without_plan.contains("CREATE INDEX visits_seen"), "{without_plan}");
    // Nothing says of which type `1 + 2` is once it is `$1 + $2`; the reason is Postgres's own.
    assert!(without_plan.contains("operator is not unique: unknown + unknown"), "{without_plan}");

    let after =
        client.query_one("SELECT last_value, (SELECT count(*) FROM visits WHERE note = 'y') FROM counted", &[]).await?;
    assert_eq!((before.get::<_, i64>(0), before.get::<_, i64>(1)), (after.get(0), after.get(1)), "nothing was changed");

    let (succeeded, text) = explain(&database, &[])?;
    assert!(succeeded && text.contains(index) && text.contains("Seq Scan on visits: "), "{text}");
    Ok(())
}
