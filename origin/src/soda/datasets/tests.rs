use super::*;

const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/0001_city_data.sql"),
    include_str!("../../../migrations/0009_trades_and_property.sql"),
    include_str!("../../../migrations/0019_planning_records.sql"),
];

/// The columns of a table with their types, as the migrations create and add them.
fn created(table: &str) -> Vec<(String, String)> {
    let column = |line: &str| {
        let (name, kind) = line.trim().trim_end_matches([',', ';']).split_once(' ').unwrap();
        let kind = kind.split(" DEFAULT").next().unwrap().replace(" NOT NULL", "").replace(" PRIMARY KEY", "");
        (name.to_owned(), kind.trim().to_owned())
    };
    let sql = MIGRATIONS.concat();
    let body = sql.split(&format!("CREATE TABLE {table} (")).nth(1).unwrap().split("\n);").next().unwrap();
    let lines = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("PRIMARY KEY"));
    let added = sql.lines().filter_map(|line| line.strip_prefix(&format!("ALTER TABLE {table} ADD COLUMN ")));
    lines.chain(added).map(column).collect()
}

#[test]
fn columns_are_those_of_the_migrations() {
    for dataset in DATASETS {
        let mut ours = Vec::new();
        if !matches!(dataset.key, Key::Unique(_)) {
            ours.push(("row_key".to_owned(), "text".to_owned()));
            ours.push(("occurrence".to_owned(), "integer".to_owned()));
        }
        ours.extend(dataset.columns.iter().map(|column| {
            let kind = match column.kind {
                Kind::Text | Kind::Code => "text",
                Kind::Integer => "integer",
                Kind::Float => "double precision",
                Kind::Timestamp | Kind::Recorded => "timestamp",
            };
            (column.name.to_owned(), kind.to_owned())
        }));
        let created = created(dataset.table);
        for column in &ours {
            assert!(created.contains(column), "{}: {column:?}", dataset.name);
        }
        // A table is filled whole by the dataset that it is named after.
        assert!(dataset.name != dataset.table || ours.len() == created.len(), "{}", dataset.name);
    }
}

#[test]
fn keys_are_fields_of_columns() {
    for dataset in DATASETS {
        let has = |key: &&str| {
            let reads = |column: &Column| matches!(column.from, From::Field(field) if field == *key);
            dataset.columns.iter().any(|column| reads(column) || column.name == *key)
        };
        let keys: &[&str] = match &dataset.key {
            Key::Unique(column) => &[column],
            Key::Fields(fields) => fields,
            Key::Digest => &[],
        };
        assert!(keys.iter().all(has), "{keys:?}");
    }
}

#[test]
fn datasets_that_share_a_table_are_told_apart() {
    for dataset in DATASETS {
        let source = |one: &Dataset| {
            let column = one.columns.iter().find(|column| column.name == "source");
            column.and_then(|column| if let From::Constant(name) = column.from { Some(name) } else { None })
        };
        let others = DATASETS.iter().filter(|other| other.id != dataset.id && other.table == dataset.table);
        for other in others {
            assert!(source(dataset).is_some() && source(dataset) != source(other), "{}", dataset.name);
        }
    }
}

#[test]
fn datasets_are_found_by_name_and_identifier() {
    assert_eq!(Dataset::find("permits").unwrap().id, "i98e-djp9");
    assert_eq!(Dataset::find("nbtm-fbw5").unwrap().name, "violations");
    assert!(Dataset::find("street-use").is_none());
}
