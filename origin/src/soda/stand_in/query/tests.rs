use super::*;

fn table() -> Table {
    let mut table = Table::default();
    for line in [
        r#"{"block":"0026","lot":"004A","cost":"9.0","filed":"2024-01-02T00:00:00.000","who":"O'Hara"}"#,
        r#"{"block":"0026","lot":"005","cost":"10.0","filed":"2023-06-01T00:00:00.000"}"#,
        r#"{"block":"3507","lot":"004","cost":"2.5"}"#,
    ] {
        table.push_line(line).unwrap();
    }
    table
}

/// The lots of the rows that a query string gives, or the code of its refusal.
fn check(raw: &str, expected: Result<&[&str], &str>) {
    let table = table();
    let got = match Request::parse(raw, &table).map(|request| request.run(&table)) {
        Ok(Answer::Rows(rows)) => {
            let lot =
                |row: &String| serde_json::from_str::<Value>(row).unwrap()["lot"].as_str().unwrap_or("-").to_owned();
            Ok(rows.iter().map(lot).collect())
        }
        Ok(Answer::Count { name, count }) => Ok(vec![name, count.to_string()]),
        Err(problem) => Err(problem.code),
    };
    let expected = expected.map(|lots| lots.iter().map(|lot| (*lot).to_owned()).collect());
    assert_eq!(got, expected, "{raw}");
}

#[test]
fn conditions_select_rows() {
    check("", Ok(&["004A", "005", "004"]));
    check("$where=block='0026'", Ok(&["004A", "005"]));
    check("$where=block = '0026' and lot = '005'", Ok(&["005"]));
    check("$where=block!='0026'", Ok(&["004"]));
    check("$where=cost > 9", Ok(&["005"]));
    check("$where=cost >= 9.0 AND cost <= 10", Ok(&["004A", "005"]));
    check("$where=filed < '2024-01-01'", Ok(&["005"]));
    check("$where=filed is null", Ok(&["004"]));
    check("$where=filed IS NOT NULL", Ok(&["004A", "005"]));
    check("$where=who = 'O''Hara'", Ok(&["004A"]));
    check("$where=`lot`='005'", Ok(&["005"]));
    check("$where=:updated_at > '2025-12-31'", Ok(&["004A", "005", "004"]));
    check("$where=lot='004' OR lot='005' AND block='0026'", Ok(&["005", "004"]));
    check("$where=(lot='004' OR lot='005') AND block='0026'", Ok(&["005"]));
    check("$where=(lot='004'", Err("query.compiler.malformed"));
    check("$where=lot='004')", Err("query.compiler.malformed"));
    check(&format!("$where={}lot='004'{}", "(".repeat(9), ")".repeat(9)), Err("query.compiler.malformed"));
    check("block=0026&lot=004A", Ok(&["004A"]));
    check("$where=block='9999'", Ok(&[]));
}

#[test]
fn rows_are_ordered_and_paged() {
    check("$order=:id&$limit=2", Ok(&["004A", "005"]));
    check("$order=:id&$limit=2&$offset=2", Ok(&["004"]));
    check("$offset=3", Ok(&[]));
    check("$order=cost DESC", Ok(&["005", "004A", "004"]));
    check("$order=block DESC, lot", Ok(&["004", "004A", "005"]));
    check("$order=filed", Ok(&["005", "004A", "004"]));
    check("$limit=0", Ok(&[]));
}

#[test]
fn columns_are_chosen() {
    check("$select=count(*)", Ok(&["count", "3"]));
    check("$select=COUNT(*) AS n&$where=block='0026'", Ok(&["n", "2"]));
    check("$select=block", Ok(&["-", "-", "-"]));
    check("$select=lot, :id&$limit=1", Ok(&["004A"]));
    let table = table();
    let Answer::Rows(rows) = Request::parse("$select=:*,*&$limit=1&$offset=2", &table).unwrap().run(&table) else {
        panic!("rows were asked for");
    };
    assert!(rows[0].contains(r#"":id":"row-"#) && rows[0].contains(r#""lot":"004""#), "{}", rows[0]);
}

#[test]
fn what_is_not_understood_is_refused() {
    for raw in [
        "$where=",
        "$where=block",
        "$where=block=",
        "$where=block='0026",
        "$where=upper(block)='1'",
        "$where=block like 'a%25'",
        "$where=block=='1'",
        "$where=block is empty",
        "$where=block=1x",
        "$limit=many",
        "$offset=-1",
        "$order=block up",
        "$order=block asc lot",
        "$select=count(*) as a b",
    ] {
        check(raw, Err("query.compiler.malformed"));
    }
    for raw in ["$where=color='red'", "$order=color", "$select=color", "color=red", "$order="] {
        check(raw, Err("query.soql.no-such-column"));
    }
    check("$group=block", Err("query.unrecognized-argument"));
}
