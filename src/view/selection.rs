//! Which rows of a page are shown, and in which order: what a reader looks for, what is wrong, the sorted columns. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::html::Options;
use super::page::{self, Kind, Placement};
use super::table::{Cell, Column, Health, Row, SubRow, Table};

/// The longest text that is looked for, in bytes.
pub const MAX_FIND: usize = 200;

/// The most columns that an address sorts by.
pub const MAX_SORTS: usize = 20;

/// How bad the trouble of a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Worse than usual: somebody should look.
    Worse,
    /// Down, lost or over its limit: somebody must act.
    Bad,
}

impl Trouble {
    /// Returns its class in HTML, its shape and its word.
    pub fn look(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Worse => ("worse", "▲", "worse"),
            Self::Bad => ("bad", "▼", "bad"),
        }
    }
}

/// The numbers in trouble, by their Carbon path.
pub type Troubles = BTreeMap<String, Trouble>;

/// How many rows a table has, and how many of them are wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All rows.
    pub all: usize,
    /// Those that are wrong.
    pub wrong: usize,
}

/// What a reader looks for.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    options: &'a Options,
    /// The texts of which a name has one, in lower case.
    find: Vec<String>,
    /// What the rules call a trouble; `None` if the page has no rule, so that its marked numbers are the wrong ones.
    troubles: Option<&'a Troubles>,
}

impl<'a> Selection<'a> {
    /// Returns the selection of these options.
    pub fn new(options: &'a Options, troubles: Option<&'a Troubles>) -> Self {
        let find = options.find.split('|').map(|text| text.trim().to_lowercase());
        Self { options, find: find.filter(|text| !text.is_empty()).collect(), troubles }
    }

    /// Whether rows are left out.
    pub fn is_partial(&self) -> bool {
        self.is_search() || self.options.wrong
    }

    /// Whether a name is looked for.
    pub fn is_search(&self) -> bool {
        !self.find.is_empty()
    }

    /// Whether a name is one that is looked for.
    pub fn finds(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.find.iter().any(|text| name.contains(text.as_str()))
    }

    /// Returns the trouble of a number, by the rules, or by the marks of a page without rules.
    pub fn of_cell(&self, column: &Column, cell: &Cell) -> Option<Trouble> {
        match self.troubles {
            Some(troubles) => troubles.get(cell.path).copied(),
            None => column.is_bad(cell).then_some(Trouble::Bad),
        }
    }

    /// Returns how many numbers of a table are in trouble, beside its heartbeats.
    pub fn count(&self, table: &Table) -> usize {
        let is_bad = |(column, cell): &(&Column, &Option<Cell>)| {
            let is_health = matches!(column.declared.kind, Kind::Health(..));
            !is_health && cell.as_ref().is_some_and(|cell| self.of_cell(column, cell).is_some())
        };
        let count = |cells: &[Option<Cell>]| table.columns.iter().zip(cells).filter(is_bad).count();
        let of_row = |row: &Row| count(&row.cells) + row.sub_rows.iter().map(|part| count(&part.cells)).sum::<usize>();
        table.rows.iter().map(of_row).sum()
    }

    /// Returns the worst trouble of a row; `health` tells that of a cell.
    pub fn of_row(&self, table: &Table, row: &Row, health: impl Fn(Option<&Cell>) -> Health) -> Option<Trouble> {
        let of = |cells: &[Option<Cell>]| {
            let of_cells = table.columns.iter().zip(cells);
            of_cells.filter_map(|(column, cell)| self.of_cell(column, cell.as_ref()?)).max()
        };
        let of_health = table.health_cell(row).and_then(|cell| match health(cell.as_ref()) {
            Health::Up => None,
            Health::Down => Some(Trouble::Bad),
            Health::Silent | Health::Unknown => Some(Trouble::Worse),
        });
        let of_parts = row.sub_rows.iter().filter_map(|sub_row| of(&sub_row.cells)).max();
        of_health.max(of(&row.cells)).max(of_parts)
    }

    /// Leaves the rows that are looked for, in their order, and returns how many there were; `trouble` tells that of a row.
    pub fn select(
        &self,
        table: &mut Table,
        is_section: bool,
        trouble: impl Fn(&Table, &Row) -> Option<Trouble>,
    ) -> Counts {
        let troubles: Vec<_> = table.rows.iter().map(|row| trouble(table, row).is_some()).collect();
        let counts = Counts { all: table.rows.len(), wrong: troubles.iter().filter(|is| **is).count() };
        let mut troubles = troubles.into_iter();
        let (mut rows, is_folded) = (std::mem::take(&mut table.rows), table.declared.folded);
        rows.retain_mut(|row| {
            let is_wrong = troubles.next().unwrap_or_default();
            let is_named = |row: &Row| {
                self.finds(row.name) || row.labels.iter().any(|label| !label.is_empty() && self.finds(label))
            };
            let is_found = is_section || !self.is_search() || is_named(row) || self.has_part(row, is_folded);
            is_found && (is_wrong || !self.options.wrong)
        });
        table.rows = rows;
        if table.declared.placement != Placement::Badges {
            self.sort(table);
        }
        counts
    }

    /// Leaves the parts of a row that are looked for; whether there are any. A row that folds is the sum of its parts, and keeps
    /// them.
    fn has_part(&self, row: &mut Row, is_folded: bool) -> bool {
        let is_found = |part: &SubRow| part.names.iter().any(|name| self.finds(name));
        if !row.sub_rows.iter().any(is_found) {
            return false;
        }
        row.sub_rows.retain(|part| is_folded || is_found(part));
        true
    }

    /// Returns the address's word for a click on the head of a column, and how the column is sorted now.
    pub fn head(&self, table: &Table, column: &page::Column, head: &str) -> (String, Option<Ordering>) {
        let name = column_name(table, column, head);
        let rises = matches!(column.kind, Kind::Key(_) | Kind::Label(..));
        let is = |sort: &String| sort.strip_prefix('-').unwrap_or(sort) == name;
        match self.options.sorts.iter().find(|sort| is(sort)) {
            None => (name, None),
            Some(sort) if sort.starts_with('-') => {
                let end = format!("{}:", table.declared.name);
                (end, Some(if rises { Ordering::Greater } else { Ordering::Less }))
            }
            Some(_) => (format!("-{name}"), Some(if rises { Ordering::Less } else { Ordering::Greater })),
        }
    }

    /// Sorts the rows, and the parts of each, by the column that the address names. Names rise, numbers fall, unless it says
    /// otherwise; what has no number comes last, a row of sums behind it.
    fn sort(&self, table: &mut Table) {
        let of_table = |sort: &&String| table_of(sort) == table.declared.name;
        let Some(sort) = self.options.sorts.iter().find(of_table) else { return };
        let (name, is_reversed) = sort.strip_prefix('-').map_or((sort.as_str(), false), |name| (name, true));
        let is_it = |column: &Column| {
            let gathered = column.declared.gathered;
            let is = |head: &str| column_name(table, column.declared, head) == name;
            column.shown && (is(column.head) || !gathered.is_empty() && is(gathered))
        };
        let all: Vec<_> = (0..table.columns.len()).filter(|at| is_it(&table.columns[*at])).collect();
        let Some(at) = all.first().copied() else { return };
        let turned = |order: Ordering| if is_reversed { order.reverse() } else { order };
        let kind = table.columns[at].declared.kind;
        if let Kind::Key(tag) = kind {
            let is_row = table.columns[at].outer;
            let part = |row: &SubRow| table.declared.sub_row_name(&row.names, tag).unwrap_or_default().to_string();
            for row in &mut table.rows {
                row.sub_rows.sort_by(|a, b| if is_row { Ordering::Equal } else { turned(part(a).cmp(&part(b))) });
            }
            if is_row {
                table.rows.sort_by(|a, b| turned(a.name.cmp(b.name)));
            }
        } else if let Kind::Label(..) = kind {
            table.rows.sort_by(|a, b| turned(a.labels[at].cmp(b.labels[at])));
        } else {
            let number = |cell: Option<&Cell>| match kind {
                Kind::Health(..) => Some(match Health::of(cell) {
                    Health::Down => 3.0,
                    Health::Silent => 2.0,
                    Health::Unknown => 1.0,
                    Health::Up => 0.0,
                }),
                _ => cell.map(|cell| cell.value.as_f64()),
            };
            let of_parts = |row: &Row| {
                let cells = row.sub_rows.iter().flat_map(|part| all.iter().filter_map(|at| part.cells[*at].as_ref()));
                cells.map(|cell| cell.value.as_f64()).reduce(|a, b| a + b)
            };
            let is_row = table.columns[at].outer;
            let of_row = |row: &Row| if is_row { number(row.cells[at].as_ref()) } else { of_parts(row) };
            let by = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => turned(b.total_cmp(&a)),
                (a, b) => b.is_some().cmp(&a.is_some()),
            };
            table.rows.sort_by(|a, b| by(of_row(a), of_row(b)));
            for row in table.rows.iter_mut().filter(|_| !is_row) {
                row.sub_rows.sort_by(|a, b| by(number(a.cells[at].as_ref()), number(b.cells[at].as_ref())));
            }
        }
        let sum_row = table.declared.sum_row;
        table.rows.sort_by_key(|row| !sum_row.is_empty() && row.name == sum_row);
    }
}

/// Returns the name of a column in an address: `clouds:jobs/held`.
pub fn column_name(table: &Table, column: &page::Column, head: &str) -> String {
    let slash = if column.group.is_empty() { "" } else { "/" };
    format!("{}:{}{slash}{head}", table.declared.name, column.group)
}

/// Returns what the numbers of a column mean: what the column says, else what the field or the measurement says of itself.
pub fn column_meaning(column: &page::Column) -> &'static str {
    match (column.meaning, column.kind) {
        ("", Kind::Field(measurement, field) | Kind::Health(measurement, field) | Kind::Switch(measurement, field)) => {
            measurement.field(field).map_or("", |field| field.meaning)
        }
        ("", Kind::One(measurement, ..)) => measurement.meaning,
        ("", Kind::Pivot(pivot)) => pivot.measurement.meaning,
        (meaning, _) => meaning,
    }
}

/// Returns the table that a word of an address sorts.
pub fn table_of(sort: &str) -> &str {
    sort.strip_prefix('-').unwrap_or(sort).split(':').next().unwrap_or_default()
}

/// Returns up to three names that are near to what nobody has, the nearest first.
pub fn near<'a>(find: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let find = find.trim().to_lowercase();
    let allowed = (find.chars().count() / 3).clamp(1, 3);
    let distance = |name: &str| strsim::damerau_levenshtein(&find, &name.to_lowercase());
    let is_alike = |name: &&str| name.len().abs_diff(find.len()) <= 3 * allowed;
    let near = names.filter(is_alike).take(5000).map(|name| (distance(name), name));
    let mut near: Vec<_> = near.filter(|(distance, _)| *distance <= allowed).collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_those_a_slip_away() {
        let names = ["north", "cc-east", "cc-west", "a-very-long-name-of-a-cloud"];
        assert_eq!(near("cc-nrth", names.into_iter()), Vec::<&str>::new());
        assert_eq!(near("nrth", names.into_iter()), ["north"]);
        assert_eq!(near("CC-wast", names.into_iter()), ["cc-east", "cc-west"]);
        assert_eq!(near("", names.into_iter()), Vec::<&str>::new());
    }

    #[test]
    fn a_selection_finds_any_of_its_texts() {
        let options = Options { find: " GPU0 | node1|".into(), ..Options::default() };
        let selection = Selection::new(&options, None);
        assert!(["gpu03", "node18", "x-gpu0"].iter().all(|name| selection.finds(name)));
        assert!(!selection.finds("node2") && selection.is_partial());
    }
}
