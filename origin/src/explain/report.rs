//! What was found out, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::{Explained, Explanation};

impl Explained {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if self.statements.is_empty() {
            text.push_str("pg_stat_statements has counted no statement with a plan yet\n");
        }
        for (place, explanation) in self.statements.iter().enumerate() {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{}. {}", place + 1, explanation.figures());
            let _ = writeln!(text, "   {}", explanation.statement.line(LETTERS_MAX));
            let _ = writeln!(text, "   {}", explanation.how());
            if let Some(plan) = &explanation.plan {
                plan.tree().lines().for_each(|line| text.push_str(&format!("     {line}\n")));
            }
            for advice in &explanation.advice {
                let _ = writeln!(text, "   > {}", advice.text);
                if let Some(sql) = &advice.sql {
                    let _ = writeln!(text, "     {sql}");
                }
            }
            if explanation.advice.is_empty() {
                text.push_str("   nothing to advise\n");
            }
            text.push('\n');
        }
        if !self.passed_over.is_empty() {
            let _ = writeln!(text, "Dearer ones without a plan:");
        }
        for (statement, why) in &self.passed_over {
            let (total, calls) = (milliseconds(statement.total_us), statement.calls);
            let _ = writeln!(text, "  {total} ms in {calls} calls ({why}): {}", statement.line(LETTERS_MAX / 3));
        }
        text
    }

    /// For programs: every figure, whole statements and whole plans.
    #[must_use]
    pub fn json(&self) -> Json {
        let statements: Vec<_> = self.statements.iter().map(Explanation::json).collect();
        let passed_over: Vec<_> = self
            .passed_over
            .iter()
            .map(|(one, why)| json!({ "statement": one.sql, "calls": one.calls, "total_us": one.total_us, "why": why }))
            .collect();
        json!({ "statements": statements, "without_plan": passed_over })
    }
}

impl Explanation {
    fn figures(&self) -> String {
        let statement = &self.statement;
        let each = |total: u64| total.checked_div(statement.calls).unwrap_or_default();
        let blocks = statement.blocks_hit + statement.blocks_read;
        let hit = (statement.blocks_hit * 100).checked_div(blocks);
        let hit = hit.map_or_else(String::new, |hit| format!(", {hit} % of pages in memory"));
        format!(
            "{} ms in {} calls ({} ms and {} rows each{hit})",
            milliseconds(statement.total_us),
            statement.calls,
            milliseconds(each(statement.total_us)),
            each(statement.rows),
        )
    }

    fn how(&self) -> String {
        match &self.execution {
            Ok(values) if values.is_empty() => "executed".to_owned(),
            Ok(values) => {
                let values: Vec<_> = values
                    .iter()
                    .map(|(number, value)| format!("${number} = {} ({})", value.literal, value.source))
                    .collect();
                format!("executed with {}", values.join(", "))
            }
            Err(why) => format!("planned for any parameters and not executed: {why}"),
        }
    }

    fn json(&self) -> Json {
        let statement = &self.statement;
        let values = self.execution.as_ref().ok().map(|values| {
            values
                .iter()
                .map(|(number, value)| (format!("${number}"), Json::from(&*value.literal)))
                .collect::<serde_json::Map<_, _>>()
        });
        json!({
            "query_id": statement.id.to_string(),
            "statement": statement.sql,
            "calls": statement.calls,
            "total_us": statement.total_us,
            "rows": statement.rows,
            "blocks_hit": statement.blocks_hit,
            "blocks_read": statement.blocks_read,
            "temp_blocks": statement.temp_blocks,
            "executed_with": values,
            "not_executed": self.execution.as_ref().err(),
            "plan": self.plan.as_ref().map(|plan| &plan.json),
            "advice": self.advice,
        })
    }
}

fn milliseconds(us: u64) -> String {
    format!("{}.{}", us / 1000, us % 1000 / 100)
}

/// Of a statement that are shown; the JSON has all of it.
const LETTERS_MAX: usize = 300;
