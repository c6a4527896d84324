//! Writes and reads tables.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ::mysql::Value;
use anyhow::{Context, Result, bail, ensure};

use super::Mysql;
use super::connection::{Connection, ensure_database, identifier, text, within};
use crate::model::{Cell, Column, ColumnKind, Rest, Row, TableInfo};
use crate::sinks::Tables;
use crate::text::{count, quote};

/// The rows of one statement; a prepared one takes 65,535 parameters.
const ROWS: usize = 500;

impl Tables for Mysql {
    fn name(&self) -> &str {
        "mysql"
    }

    fn write(&self, table: &'static TableInfo, rows: &[Row], rest: Rest, deadline: Instant) -> Result<Vec<String>> {
        let rows = vec![(rows.to_vec(), Duplicate::Replaced)];
        let removes = rest == Rest::Removed;
        within(&self.config, deadline, move |connection| put(connection, table, rows, removes))
    }

    fn read(&self, table: &'static TableInfo, deadline: Instant) -> Result<Vec<Row>> {
        within(&self.config, deadline, move |connection| {
            let there = columns(connection, table)?;
            let known = table.columns.iter().map(|column| match there.contains_key(column.name) {
                true => identifier(column.name),
                false => "NULL".into(),
            });
            let known = known.collect::<Vec<_>>().join(", ");
            let rows = connection.ask(&format!("SELECT {known} FROM {}", identifier(table.name)), ())?;
            let mut rows: Vec<Row> =
                rows.into_iter().map(|row| row.into_iter().zip(table.columns).map(cell).collect()).collect();
            rows.sort_by_key(|row| key(table, row));
            Ok(rows)
        })
    }

    fn check(&self, table: &'static TableInfo, deadline: Instant) -> Result<String> {
        let config = self.config.clone();
        let (version, rows) = within(&config, deadline, move |connection| {
            let version = connection.version()?;
            let columns = columns(connection, table)?;
            ensure_key(connection, table)?;
            ensure_transactions(connection, table)?;
            ensure_others_have_defaults(connection, table)?;
            let missing: Vec<_> = table.columns.iter().filter(|column| !columns.contains_key(column.name)).collect();
            ensure!(missing.is_empty(), "the table {} lacks {}: --setup adds it", table.name, names(&missing));
            ensure_may_write(connection, table)?;
            let rows = connection.ask(&format!("SELECT COUNT(*) FROM {}", identifier(table.name)), ())?;
            Ok((version, rows.into_iter().flatten().next().map(text).unwrap_or_default()))
        })?;
        Ok(format!(
            "MySQL {version} at {} has the table {} in the database {}, {rows} rows",
            config.describe(),
            table.name,
            config.database
        ))
    }

    fn setup(&self, table: &'static TableInfo, deadline: Instant) -> Result<String> {
        let mut made = Vec::new();
        if self.makes_database(deadline)? {
            made.push(format!("database {}", self.config.database));
        }
        made.extend(within(&self.config, deadline, move |connection| {
            let mut made = Vec::new();
            let there = connection.ask(COLUMNS, (table.name,))?;
            if there.is_empty() {
                connection.run(&definition(table))?;
                made.push(format!("table {}", table.name));
                return Ok(made);
            }
            ensure_key(connection, table)?;
            let there = columns(connection, table)?;
            for column in table.columns.iter().filter(|column| !there.contains_key(column.name)) {
                let definition = column_definition(column);
                connection.run(&format!("ALTER TABLE {} ADD COLUMN {definition}", identifier(table.name)))?;
                made.push(format!("column {} of table {}", column.name, table.name));
            }
            Ok(made)
        })?);
        Ok(if made.is_empty() { "has all that it needs".into() } else { format!("created {}", made.join(", ")) })
    }
}

impl Mysql {
    fn makes_database(&self, deadline: Instant) -> Result<bool> {
        let config = self.config.clone();
        // Without its database there is no connection to ask with, so this is bounded by the limits of the crate.
        ensure_database(&config, deadline).with_context(|| format!("MySQL at {}", config.name()))
    }
}

const COLUMNS: &str = "SELECT COLUMN_NAME, CHARACTER_SET_NAME FROM information_schema.COLUMNS \
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?";

/// The columns that the server's table has, each with the largest character of its character set.
type Columns = BTreeMap<String, char>;

/// Returns the largest character up to which a character set has all; of one that is not known, those that all sets have.
fn largest(character_set: &str) -> char {
    match character_set {
        "utf8mb4" | "utf16" | "utf32" | "gb18030" => char::MAX,
        "utf8" | "utf8mb3" | "ucs2" => '\u{ffff}',
        "latin1" => '\u{ff}',
        _ => '\u{7f}',
    }
}

/// Returns the columns that the server's table has.
fn columns(connection: &mut Connection, table: &TableInfo) -> Result<Columns> {
    let rows = connection.ask(COLUMNS, (table.name,))?;
    let columns: BTreeMap<_, _> = rows
        .into_iter()
        .filter_map(|row| {
            let mut row = row.into_iter();
            let (name, set) = (row.next()?, row.next()?);
            Some((text(name), if set == Value::NULL { char::MAX } else { largest(&text(set)) }))
        })
        .collect();
    if columns.is_empty() {
        let database = quote(&connection.config().database);
        bail!("the database {database} has no table {}, or its login may not see it; --setup creates it", table.name);
    }
    Ok(columns)
}

/// Fails unless a unique key of the table is exactly the declared one, and if another one holds rows of different keys for the same.
fn ensure_key(connection: &mut Connection, table: &TableInfo) -> Result<()> {
    let query = "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX";
    let mut indices = Indices::new();
    for row in connection.ask(query, (table.name,))? {
        let mut row = row.into_iter();
        if let (Some(index), Some(column), Some(prefix)) = (row.next(), row.next(), row.next()) {
            indices.entry(text(index)).or_default().push((text(column), prefix == Value::NULL));
        }
    }
    check_keys(table, &indices)
}

/// The columns of each unique index, and whether the whole of a column is in it, not a prefix alone.
type Indices = BTreeMap<String, Vec<(String, bool)>>;

fn check_keys(table: &TableInfo, indices: &Indices) -> Result<()> {
    let name = table.name;
    let keys: BTreeSet<&str> = table.key_columns().iter().map(|column| column.name).collect();
    let columns = table.key_columns().iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let whole = |index: &[(String, bool)]| -> BTreeSet<String> {
        index.iter().filter(|(_, is_whole)| *is_whole).map(|(column, _)| column.clone()).collect()
    };
    let is_key = |index: &&Vec<(String, bool)>| {
        index.len() == keys.len() && whole(index).iter().map(String::as_str).eq(keys.iter().copied())
    };
    ensure!(
        indices.values().any(|index| is_key(&index)),
        "the table {name} has no unique key of exactly {columns}, so each run would add its rows again: ALTER TABLE {name} ADD UNIQUE KEY ({columns})"
    );
    // A row would silently take the place of another one: prefixes of names are alike, and a queue has several rows.
    let is_ours = |column: &str| table.columns.iter().any(|own| own.name.eq_ignore_ascii_case(column));
    let is_narrow = |index: &[(String, bool)]| {
        let whole = whole(index);
        index.iter().all(|(column, _)| is_ours(column)) && !keys.iter().all(|key| whole.contains(*key))
    };
    if let Some((index, _)) = indices.iter().find(|(_, index)| is_narrow(index)) {
        let index = identifier(index);
        bail!(
            "the unique key {index} of the table {name} has not the whole of {columns}, so rows would take each other's place: ALTER TABLE {name} DROP INDEX {index}"
        );
    }
    Ok(())
}

/// Fails if the table's engine has no transactions: a run that fails would leave a part of its rows.
fn ensure_transactions(connection: &mut Connection, table: &TableInfo) -> Result<()> {
    let query = "SELECT TABLES.ENGINE FROM information_schema.TABLES \
         JOIN information_schema.ENGINES ON ENGINES.ENGINE = TABLES.ENGINE \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND TRANSACTIONS = 'NO'";
    if let Some(engine) = connection.ask(query, (table.name,))?.into_iter().flatten().next().map(text) {
        let name = table.name;
        bail!(
            "the table {name} has the engine {engine}, which knows no transactions, so a run that fails would leave a part of its rows: ALTER TABLE {name} ENGINE=InnoDB"
        );
    }
    Ok(())
}

/// Fails if a column that is not ours needs a value in each new row.
fn ensure_others_have_defaults(connection: &mut Connection, table: &TableInfo) -> Result<()> {
    let query = "SELECT COLUMN_NAME FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL \
         AND EXTRA NOT LIKE '%auto_increment%' AND EXTRA NOT LIKE '%GENERATED%'";
    let needed = connection.ask(query, (table.name,))?.into_iter().flatten().map(text);
    let is_ours = |name: &str| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let others: Vec<_> = needed.filter(|name| !is_ours(name)).map(|name| quote(&name)).collect();
    ensure!(
        others.is_empty(),
        "the table {} needs a value in {}, which is not gridmon's: ALTER TABLE … ALTER COLUMN … SET DEFAULT …",
        table.name,
        others.join(", ")
    );
    Ok(())
}

/// Fails unless the login may write rows. Changes none.
fn ensure_may_write(connection: &mut Connection, table: &TableInfo) -> Result<()> {
    let (name, column) = (identifier(table.name), identifier(table.columns[0].name));
    let keys: Vec<_> = table.key_columns().iter().map(|column| identifier(column.name)).collect();
    let keys = keys.join(", ");
    connection.run("START TRANSACTION")?;
    connection.run(&format!("INSERT INTO {name} ({keys}) SELECT {keys} FROM {name} WHERE FALSE"))?;
    connection.run(&format!("UPDATE {name} SET {column} = {column} WHERE FALSE"))?;
    connection.run(&format!("DELETE FROM {name} WHERE FALSE"))?;
    connection.run("ROLLBACK")
}

/// What becomes of a row that is there, when one with its key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duplicate {
    /// It gets the values of the new one.
    Replaced,
    /// It stays as it is.
    Stays,
}

/// Writes rows in one transaction, and removes all others if `removes` says so. Returns what it left out, and which columns the
/// server's table lacks, a line each.
pub(super) fn put(
    connection: &mut Connection,
    table: &TableInfo,
    rows: Vec<(Vec<Row>, Duplicate)>,
    removes: bool,
) -> Result<Vec<String>> {
    let columns = columns(connection, table)?;
    let mut said = Vec::new();
    let mut fit = |(rows, duplicate)| (fitting(table, rows, &columns, &mut said), duplicate);
    let rows: Vec<_> = rows.into_iter().map(&mut fit).collect();
    ensure_key(connection, table)?;
    ensure_transactions(connection, table)?;
    let missing: Vec<_> = table.columns.iter().filter(|column| !columns.contains_key(column.name)).collect();
    connection.run("START TRANSACTION")?;
    for (rows, duplicate) in &rows {
        upsert(connection, table, &|column| columns.contains_key(column.name), rows, *duplicate)?;
    }
    if removes {
        remove_others(connection, table, rows.iter().flat_map(|(rows, _)| rows))?;
    }
    connection.run("COMMIT")?;
    if !missing.is_empty() {
        let columns = if missing.len() == 1 { "column" } else { "columns" };
        let missing = names(&missing);
        said.push(format!("the table {} lacks the {columns} {missing}: --setup adds what is missing", table.name));
    }
    Ok(said)
}

/// Writes rows.
fn upsert(
    connection: &mut Connection,
    table: &TableInfo,
    is_there: &dyn Fn(&Column) -> bool,
    rows: &[Row],
    duplicate: Duplicate,
) -> Result<()> {
    let there: Vec<usize> = (0..table.columns.len()).filter(|at| is_there(&table.columns[*at])).collect();
    let name = |at: &usize| identifier(table.columns[*at].name);
    let columns = there.iter().map(name).collect::<Vec<_>>().join(", ");
    let updates = match duplicate {
        // The key too: to a collation that is blind to case `Q` is the row of `q`, whose key nobody would know.
        Duplicate::Replaced => {
            there.iter().map(|at| format!("{0} = VALUES({0})", name(at))).collect::<Vec<_>>().join(", ")
        }
        // INSERT IGNORE would pass over other errors too.
        Duplicate::Stays => format!("{0} = {0}", name(&0)),
    };
    let one = format!("({})", vec!["?"; there.len()].join(", "));
    for part in rows.chunks(ROWS) {
        let statement = format!(
            "INSERT INTO {} ({columns}) VALUES {} ON DUPLICATE KEY UPDATE {updates}",
            identifier(table.name),
            vec![one.as_str(); part.len()].join(", ")
        );
        let values: Vec<Value> = part.iter().flat_map(|row| there.iter().map(|at| value(&row[*at]))).collect();
        connection.change(&statement, values)?;
    }
    Ok(())
}

/// Removes all rows whose key is not among `rows`.
fn remove_others<'a>(
    connection: &mut Connection,
    table: &TableInfo,
    rows: impl Iterator<Item = &'a Row>,
) -> Result<()> {
    let names: Vec<_> = table.key_columns().iter().map(|column| identifier(column.name)).collect();
    let names = names.join(", ");
    let kept: BTreeSet<Vec<String>> = rows.map(|row| key(table, row)).collect();
    // Locked, so that another run cannot add a row between this look and the end.
    let there = connection.ask(&format!("SELECT {names} FROM {} FOR UPDATE", identifier(table.name)), ())?;
    let there = there.into_iter().map(|row| row.into_iter().map(text).collect::<Vec<_>>());
    let gone: Vec<_> = there.filter(|key| !kept.contains(key)).collect();
    let one = format!("({})", vec!["?"; table.keys].join(", "));
    for part in gone.chunks(ROWS) {
        let keys = vec![one.as_str(); part.len()].join(", ");
        let statement = format!("DELETE FROM {} WHERE ({names}) IN ({keys})", identifier(table.name));
        let values: Vec<Value> = part.iter().flatten().map(|text| Value::from(text.as_str())).collect();
        connection.change(&statement, values)?;
    }
    Ok(())
}

/// Returns the key of a row.
fn key(table: &TableInfo, row: &[Cell]) -> Vec<String> {
    row[..table.keys].iter().map(|cell| cell.as_text().unwrap_or_default().into()).collect()
}

/// Returns the rows as they fit into the columns; says what does not. Of a text that describes, what does not fit is cut or `?`; a key
/// is not changed, since it would name another row.
fn fitting(table: &TableInfo, rows: Vec<Row>, columns: &Columns, said: &mut Vec<String>) -> Vec<Row> {
    let limits = |column: &Column| match column.kind {
        ColumnKind::Text(longest) => Some((longest, columns.get(column.name).copied().unwrap_or(char::MAX))),
        _ => None,
    };
    let limits: Vec<_> = table.columns.iter().map(limits).collect();
    let (mut long, mut foreign) = (Vec::new(), Vec::new());
    let fit = |mut row: Row| {
        for (at, (cell, limits)) in row.iter_mut().zip(&limits).enumerate() {
            let (Cell::Text(text), Some((longest, largest))) = (cell, limits) else { continue };
            let is_long = text.len() > *longest && text.chars().count() > *longest;
            let is_foreign = text.chars().any(|letter| letter > *largest);
            if at < table.keys && (is_long || is_foreign) {
                if is_long { &mut long } else { &mut foreign }.push(quote(text));
                return None;
            }
            if is_long || is_foreign {
                let known = |letter| if letter > *largest { '?' } else { letter };
                *text = text.chars().take(*longest).map(known).collect();
            }
        }
        Some(row)
    };
    let fitting = rows.into_iter().filter_map(fit).collect();
    let name = table.name;
    let why = [
        (long, "since a name is too long for its column".to_string()),
        (
            foreign,
            format!(
                "since its character set lacks a letter (ALTER TABLE {name} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)"
            ),
        ),
    ];
    for (left_out, why) in why {
        said.extend(left_out.first().map(|first| {
            let rows = count(left_out.len(), "row");
            format!("{rows} of the table {name} left out, {why}: {first}")
        }));
    }
    fitting
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::NULL,
        Cell::Text(text) => Value::from(text.as_str()),
        Cell::Real(value) => Value::Double(*value),
        Cell::Int(value) => Value::Int(*value),
    }
}

/// Reads a value as the column declares it, whatever type the server's column has.
fn cell((value, column): (Value, &Column)) -> Cell {
    match (column.kind, value) {
        (_, Value::NULL) => Cell::Null,
        (ColumnKind::Text(_), value) => Cell::Text(text(value)),
        (ColumnKind::Integer, Value::Int(value)) => Cell::Int(value),
        (ColumnKind::Integer, Value::UInt(value)) => i64::try_from(value).ok().into(),
        (ColumnKind::Integer, value) => text(value).parse::<i64>().ok().into(),
        (ColumnKind::Real, Value::Double(value)) => Cell::Real(value),
        (ColumnKind::Real, Value::Float(value)) => Cell::Real(value.into()),
        (ColumnKind::Real, value) => text(value).parse::<f64>().ok().into(),
    }
}

fn names(columns: &[&Column]) -> String {
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// Returns the statement that creates a table.
fn definition(table: &TableInfo) -> String {
    let columns = table.columns.iter().enumerate();
    let columns =
        columns.map(|(at, column)| column_definition(column) + if at < table.keys { " NOT NULL" } else { "" });
    let keys: Vec<_> = table.key_columns().iter().map(|column| identifier(column.name)).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({})) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
        identifier(table.name),
        columns.collect::<Vec<_>>().join(", "),
        keys.join(", ")
    )
}

fn column_definition(column: &Column) -> String {
    let kind = match column.kind {
        ColumnKind::Text(longest) => format!("VARCHAR({longest})"),
        ColumnKind::Real => "DOUBLE".into(),
        ColumnKind::Integer => "BIGINT".into(),
    };
    format!("{} {kind}", identifier(column.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: TableInfo = TableInfo {
        name: "jobs",
        columns: &[Column::text("queue", 5), Column::text("site", 4), Column::real("mean"), Column::integer("n")],
        keys: 1,
    };

    #[test]
    fn the_table_is_defined_with_its_key_and_character_set() {
        assert_eq!(
            definition(&TABLE),
            "CREATE TABLE IF NOT EXISTS `jobs` (`queue` VARCHAR(5) NOT NULL, `site` VARCHAR(4), `mean` DOUBLE, `n` BIGINT, \
             PRIMARY KEY (`queue`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
        );
        assert_eq!(identifier("a`; DROP"), "`a``; DROP`");
    }

    #[test]
    fn a_key_of_prefixes_is_none_and_a_second_one_must_not_make_rows_alike() {
        static OF_TWO: TableInfo = TableInfo {
            name: "jobs",
            columns: &[Column::text("queue", 5), Column::text("part", 5), Column::real("mean")],
            keys: 2,
        };
        let of = |indices: &[(&str, &[(&str, bool)])]| {
            let columns = |columns: &[(&str, bool)]| columns.iter().map(|(name, is)| (name.to_string(), *is)).collect();
            let indices = indices.iter().map(|(name, index)| (name.to_string(), columns(index))).collect();
            check_keys(&OF_TWO, &indices).map_err(|error| error.to_string())
        };
        let exact: (&str, &[(&str, bool)]) = ("k", &[("part", true), ("queue", true)]);
        assert_eq!(of(&[exact]), Ok(()));
        assert!(of(&[]).unwrap_err().contains("no unique key of exactly queue, part"));
        assert!(of(&[("k", &[("queue", false), ("part", true)])]).unwrap_err().contains("no unique key of exactly"));
        assert!(of(&[("k", &[("queue", true), ("part", true), ("mean", true)])]).is_err());
        // Others' own numbers, and keys that say more than ours, are in nobody's way.
        let more: &[(&str, bool)] = &[("queue", true), ("part", true), ("mean", true)];
        assert_eq!(
            of(&[exact, ("PRIMARY", &[("id", true)]), ("both", &[("queue", true), ("id", true)]), ("m", more)]),
            Ok(())
        );
        for narrow in [&[("queue", true)] as &[_], &[("queue", true), ("part", false)], &[("mean", true)]] {
            let said = of(&[exact, ("narrow", narrow)]).unwrap_err();
            assert!(said.ends_with("ALTER TABLE jobs DROP INDEX `narrow`"), "{said}");
        }
    }

    #[test]
    fn a_description_is_cut_to_its_column_and_a_key_is_not() {
        let row =
            |queue: &str, site: &str| vec![Cell::Text(queue.into()), Cell::Text(site.into()), Cell::Null, Cell::Int(1)];
        let (columns, mut said) = (Columns::from([("queue".into(), '\u{ff}'), ("site".into(), '\u{ff}')]), Vec::new());
        let rows = vec![row("ab", "München"), row("abcdef", "x"), row("ééééé", "x"), row("漢", "x"), row("a", "c漢d")];
        let rows = fitting(&TABLE, rows, &columns, &mut said);
        assert_eq!(rows, [row("ab", "Münc"), row("ééééé", "x"), row("a", "c?d")]);
        assert_eq!(said[0], "1 row of the table jobs left out, since a name is too long for its column: \"abcdef\"");
        assert!(
            said[1].contains("character set lacks a letter") && said[1].ends_with("\"漢\"") && said.len() == 2,
            "{said:?}"
        );
    }
}
