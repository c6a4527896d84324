//! Tables: pictures of now, with one row for each key. A run makes them afresh; they are never spooled.

/// A table, declared once for every database that keeps it.
#[derive(Debug)]
pub struct TableInfo {
    /// The table's name.
    pub name: &'static str,
    /// Its columns; the first ones are its key.
    pub columns: &'static [Column],
    /// How many columns make the key: texts that are never empty of a value.
    pub keys: usize,
}

/// A column of a [`TableInfo`].
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The column's name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// A text of at most so many characters, where the database counts them.
    Text(usize),
    /// A floating-point number.
    Real,
    /// An integer.
    Integer,
}

impl Column {
    /// Declares a column of texts.
    pub const fn text(name: &'static str, longest: usize) -> Self {
        Self { name, kind: ColumnKind::Text(longest) }
    }

    /// Declares a column of floating-point numbers.
    pub const fn real(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Real }
    }

    /// Declares a column of integers.
    pub const fn integer(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Integer }
    }
}

/// A value in a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// No value: SQL's NULL.
    Null,
    /// A text.
    Text(String),
    /// A floating-point number.
    Real(f64),
    /// An integer.
    Int(i64),
}

impl Cell {
    /// Returns the text; `None` for every other value.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Returns the number; `None` for a text and for no value.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Real(value) => Some(*value),
            Self::Int(value) => Some(*value as f64),
            Self::Null | Self::Text(_) => None,
        }
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.filter(|value| value.is_finite()).map_or(Self::Null, Self::Real)
    }
}

impl From<Option<i64>> for Cell {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }
}

impl From<Option<&str>> for Cell {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.into()))
    }
}

/// A row: a value for each column, in their order.
pub type Row = Vec<Cell>;

/// What becomes of the rows of a table that a run does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// They go: the run saw everything that there is.
    Removed,
    /// They stay as they are.
    Kept,
}

impl TableInfo {
    /// Returns the place of a column.
    pub fn at(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name == column)
    }

    /// Returns the value of a row in a column; `Null` if the table has no such column.
    pub fn cell<'a>(&self, row: &'a [Cell], column: &str) -> &'a Cell {
        self.at(column).and_then(|at| row.get(at)).unwrap_or(&Cell::Null)
    }

    /// Returns the columns of the key.
    pub fn key_columns(&self) -> &'static [Column] {
        &self.columns[..self.keys]
    }
}
