//! Tables in the embedded store. A migration makes each of them, so that the schema of a store is always known.

use std::collections::HashSet;
use std::time::Instant;

use anyhow::Result;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, Transaction, params_from_iter};

use super::{Place, SOME};
use crate::model::{Cell, Rest, Row, TableInfo};
use crate::sinks::Tables;
use crate::text::count;

/// The embedded store as the place of tables.
#[derive(Debug)]
pub struct EmbeddedTables {
    /// The place of the store.
    pub place: Place,
}

impl Tables for EmbeddedTables {
    fn name(&self) -> &str {
        "embedded"
    }

    fn write(&self, table: &'static TableInfo, rows: &[Row], rest: Rest, deadline: Instant) -> Result<Vec<String>> {
        let mut store = self.place.open(deadline)?;
        // A row changes a page.
        store.in_transaction(2 * rows.len() as u64 + SOME, deadline, |transaction| {
            upsert(transaction, table, rows)?;
            if rest == Rest::Removed {
                remove_others(transaction, table, rows)?;
            }
            Ok(())
        })?;
        Ok(Vec::new())
    }

    fn read(&self, table: &'static TableInfo, _deadline: Instant) -> Result<Vec<Row>> {
        let Some(store) = self.place.open_to_read()? else { return Ok(Vec::new()) };
        store.read_with(|store| {
            if store.number("user_version")? < SINCE {
                return Ok(Vec::new());
            }
            // A store that no newer version has written since lacks what is new.
            let known = format!("SELECT name FROM pragma_table_info('{}')", table.name);
            let there = store
                .connection
                .prepare(&known)?
                .query_map([], |row| row.get(0))?
                .collect::<Result<HashSet<String>, _>>()?;
            let columns =
                table.columns.iter().map(|column| if there.contains(column.name) { column.name } else { "NULL" });
            let columns: Vec<_> = columns.collect();
            let keys: Vec<_> = table.key_columns().iter().map(|column| column.name).collect();
            let query = format!("SELECT {} FROM {} ORDER BY {}", columns.join(", "), table.name, keys.join(", "));
            let mut query = store.connection.prepare(&query)?;
            let row = |row: &rusqlite::Row| (0..columns.len()).map(|at| Ok(cell(row.get_ref(at)?))).collect();
            query.query_map([], row)?.collect()
        })
    }

    fn check(&self, table: &'static TableInfo, deadline: Instant) -> Result<String> {
        let there = self.place.check()?;
        let rows = if self.place.path().exists() { self.read(table, deadline)?.len() } else { 0 };
        Ok(format!("{there}; the table {} has {}", table.name, count(rows, "row")))
    }

    fn setup(&self, table: &'static TableInfo, deadline: Instant) -> Result<String> {
        let is_there = match self.place.open_to_read()? {
            Some(store) => store.read_with(|store| store.number("user_version"))? >= SINCE,
            None => false,
        };
        if is_there {
            return Ok("has all that it needs".into());
        }
        self.place.open(deadline)?;
        Ok(format!("created table {}", table.name))
    }
}

/// The first schema that has tables.
const SINCE: i64 = 4;

fn upsert(transaction: &Transaction, table: &TableInfo, rows: &[Row]) -> rusqlite::Result<()> {
    let columns: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    let statement = format!("INSERT OR REPLACE INTO {} ({}) VALUES ({marks})", table.name, columns.join(", "));
    let mut statement = transaction.prepare(&statement)?;
    for row in rows {
        statement.execute(params_from_iter(row))?;
    }
    Ok(())
}

fn remove_others(transaction: &Transaction, table: &TableInfo, rows: &[Row]) -> rusqlite::Result<()> {
    let keys: Vec<_> = table.key_columns().iter().map(|column| column.name).collect();
    let key = |row: &[Cell]| {
        row[..table.keys].iter().map(|cell| cell.as_text().unwrap_or_default().to_string()).collect::<Vec<_>>()
    };
    let kept: HashSet<_> = rows.iter().map(|row| key(row)).collect();
    let mut there = transaction.prepare(&format!("SELECT {} FROM {}", keys.join(", "), table.name))?;
    let there = there.query_map([], |row| (0..keys.len()).map(|at| row.get(at)).collect())?;
    let there: Vec<Vec<String>> = there.collect::<rusqlite::Result<_>>()?;
    let is_it = keys.iter().map(|key| format!("{key} = ?")).collect::<Vec<_>>().join(" AND ");
    let mut remove = transaction.prepare(&format!("DELETE FROM {} WHERE {is_it}", table.name))?;
    for gone in there.iter().filter(|key| !kept.contains(*key)) {
        remove.execute(params_from_iter(gone))?;
    }
    Ok(())
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Real(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
        })
    }
}

fn cell(value: ValueRef) -> Cell {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Cell::Null,
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Integer(value) => Cell::Int(value),
    }
}
