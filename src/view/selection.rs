//! Which rows of a page are shown, and in which order: what a reader looks for, what is wrong, the sorted columns. Pure.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use super::html::Options;
use super::page::{self, Kind, Placement};
use super::table::{Cell, Column, Health, Row, SubRow, Table};
use crate::model::Point;

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

/// Something that is in trouble.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The series in which the trouble is found.
    pub series: Point,
    /// The tags of the series that name it.
    pub names: &'static [&'static str],
    /// The Carbon path of the number; empty if it has none.
    pub path: String,
    /// How bad it is.
    pub trouble: Trouble,
}

/// What is in trouble: numbers, and whose they are, since a page need not have the number that tells it.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    subjects: Vec<Subject>,
    /// The worst of each Carbon path.
    paths: HashMap<String, Trouble>,
    /// The first names of these paths.
    begins: BTreeSet<String>,
    /// The subjects by each of their names.
    named: HashMap<String, Vec<usize>>,
}

impl Troubles {
    /// Returns these troubles.
    pub fn new(subjects: Vec<Subject>) -> Self {
        let mut this = Self { subjects, ..Self::default() };
        for (at, Subject { series, names, path, trouble }) in this.subjects.iter().enumerate() {
            this.begins.extend(path.split('.').next().map(String::from));
            let worst = this.paths.entry(path.clone()).or_insert(*trouble);
            *worst = (*worst).max(*trouble);
            for name in names.iter().filter_map(|tag| series.tag(tag)) {
                let known = this.named.entry(name.to_string()).or_default();
                if known.last() != Some(&at) {
                    known.push(at);
                }
            }
        }
        this
    }

    /// Returns the worst trouble of a number.
    pub fn of_cell(&self, cell: &Cell) -> Option<Trouble> {
        // Of a page's thousands of numbers most have paths that cannot be one of these.
        let begins = cell.number()?.path_begins();
        if begins.is_some_and(|name| !self.begins.contains(name)) { None } else { self.paths.get(cell.path()).copied() }
    }

    /// Returns the worst trouble of what has these names, each with its tag, in a section: the first name is the first one of the
    /// subject beside that of the section, and all others are in its series.
    fn of_names(&self, (section_tag, section): (Option<&str>, &str), names: &[(&str, &str)]) -> Option<Trouble> {
        let ((first_tag, first), others) = names.split_first()?;
        let is_it = |Subject { series, names, .. }: &&Subject| {
            let is_in = section_tag.and_then(|tag| series.tag(tag)).is_none_or(|own| own == section);
            let lead = names.iter().find(|tag| section_tag != Some(**tag));
            is_in
                && lead == Some(first_tag)
                && series.tag(first_tag) == Some(first)
                && others.iter().all(|(tag, name)| series.tag(tag) == Some(name))
        };
        let named = self.named.get(*first)?.iter().map(|at| &self.subjects[*at]);
        named.filter(is_it).map(|subject| subject.trouble).max()
    }
}

/// How many things a table has, and how many of them are wrong: rows, or their parts where each part is a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
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
    /// The tag of the page's sections, and the name of this one.
    section: (Option<&'a str>, &'a str),
}

impl<'a> Selection<'a> {
    /// Returns the selection of these options.
    pub fn new(options: &'a Options, troubles: Option<&'a Troubles>) -> Self {
        let find = options.find.split('|').map(|text| text.trim().to_lowercase());
        Self { options, find: find.filter(|text| !text.is_empty()).collect(), troubles, section: (None, "") }
    }

    /// Returns the same of one section, whose name is the value of a tag.
    #[must_use]
    pub fn of_section(self, tag: Option<&'a str>, name: &'a str) -> Self {
        Self { section: (tag, name), ..self }
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
            Some(troubles) => troubles.of_cell(cell),
            None => column.is_bad(cell).then_some(Trouble::Bad),
        }
    }

    /// Returns the trouble of a row, or of a part of it, that its names alone tell.
    fn of_names(&self, table: &Table, row: &Row, part: Option<&SubRow>) -> Option<Trouble> {
        let names = std::iter::once(row.name).chain(part.iter().flat_map(|part| part.names.iter().copied()));
        let names: Vec<_> = table.declared.keys().zip(names).collect();
        self.troubles?.of_names(self.section, &names)
    }

    /// Returns how many numbers of a table are in trouble, beside its heartbeats; a row counts of which only another page has the
    /// number.
    pub fn count(&self, table: &Table) -> usize {
        let is_bad = |(column, cell): &(&Column, &Option<Cell>)| {
            let is_health = matches!(column.declared.kind, Kind::Health(..));
            !is_health && cell.as_ref().is_some_and(|cell| self.of_cell(column, cell).is_some())
        };
        let count = |cells: &[Option<Cell>]| table.columns.iter().zip(cells).filter(is_bad).count();
        let of_row = |row: &Row| {
            let of_cells = count(&row.cells) + row.sub_rows.iter().map(|part| count(&part.cells)).sum::<usize>();
            let is_up = table.healths(row).iter().all(|cell| Health::of(cell.as_ref()) == Health::Up);
            let is_named = of_cells == 0 && is_up && self.of_names(table, row, None).is_some();
            of_cells + usize::from(is_named)
        };
        table.rows.iter().map(of_row).sum()
    }

    fn of_cells(&self, table: &Table, cells: &[Option<Cell>]) -> Option<Trouble> {
        let of_cells = table.columns.iter().zip(cells);
        of_cells.filter_map(|(column, cell)| self.of_cell(column, cell.as_ref()?)).max()
    }

    /// Returns the worst trouble of a part of a row.
    pub fn of_part(&self, table: &Table, row: &Row, part: &SubRow) -> Option<Trouble> {
        let health = table.health_of_part(part).and_then(|cell| of_health(cell.as_ref()));
        health.max(self.of_cells(table, &part.cells)).max(self.of_names(table, row, Some(part)))
    }

    /// Returns the worst trouble of a row, that of its parts too.
    pub fn of_row(&self, table: &Table, row: &Row) -> Option<Trouble> {
        let health = table.healths(row).iter().filter_map(|cell| of_health(cell.as_ref())).max();
        let parts = row.sub_rows.iter().filter_map(|part| self.of_cells(table, &part.cells)).max();
        health.max(self.of_cells(table, &row.cells)).max(parts).max(self.of_names(table, row, None))
    }

    /// Leaves the rows that are looked for, in their order, and returns how many there were. Of a row whose parts are lines only
    /// the parts that are wrong are left, if those are looked for and the row is not wrong as a whole.
    pub fn select(&self, table: &mut Table, is_section: bool) -> Counts {
        let (mut rows, mut counts) = (std::mem::take(&mut table.rows), Counts::default());
        let (is_folded, is_parted) = (table.declared.folded, table.is_parted());
        rows.retain_mut(|row| {
            let is_wrong = !table.is_off(row) && self.of_row(table, row).is_some();
            let parts: Vec<_> = match is_parted && is_wrong {
                true => row.sub_rows.iter().map(|part| self.of_part(table, row, part).is_some()).collect(),
                false => Vec::new(),
            };
            let wrong_parts = parts.iter().filter(|is| **is).count();
            let lines = if is_parted { row.sub_rows.len() } else { 1 };
            counts.all += lines;
            counts.wrong += if is_wrong && wrong_parts > 0 { wrong_parts } else { usize::from(is_wrong) * lines };
            if self.options.wrong && wrong_parts > 0 {
                let mut parts = parts.into_iter();
                row.sub_rows.retain(|_| parts.next().unwrap_or_default());
            }
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
        let sort = self.sort_of(table);
        match sort.strip_prefix('-').unwrap_or(sort) == name {
            false => (name, None),
            // What is so without a choice is turned by the next one.
            true if sort.starts_with('-') => {
                let end = if table.declared.sorted == sort { name } else { format!("{}:", table.declared.name) };
                (end, Some(if rises { Ordering::Greater } else { Ordering::Less }))
            }
            true => (format!("-{name}"), Some(if rises { Ordering::Less } else { Ordering::Greater })),
        }
    }

    /// Returns the column by which a table is sorted, as the address names it, or else its declaration; empty for its names.
    fn sort_of(&self, table: &Table) -> &str {
        let of_table = |sort: &&String| table_of(sort) == table.declared.name;
        self.options.sorts.iter().find(of_table).map_or(table.declared.sorted, String::as_str)
    }

    /// Sorts the rows, and the parts of each, by the column that the address names. Names rise, numbers fall, unless it says
    /// otherwise; what has no number comes last, a row of sums behind it.
    fn sort(&self, table: &mut Table) {
        let sort = self.sort_of(table);
        if sort.is_empty() {
            return;
        }
        let (name, is_reversed) = sort.strip_prefix('-').map_or((sort, false), |name| (name, true));
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
            let rows = std::mem::take(&mut table.rows);
            let number = |cell: Option<&Cell>| match kind {
                Kind::Health(..) => Some(Health::of(cell).badness().into()),
                _ => cell.map(|cell| cell.value.as_f64()),
            };
            let of_parts = |row: &Row| {
                if let Kind::Health(..) = kind {
                    return table.healths(row).iter().filter_map(|cell| number(cell.as_ref())).reduce(f64::max);
                }
                let cells = row.sub_rows.iter().flat_map(|part| all.iter().filter_map(|at| part.cells[*at].as_ref()));
                cells.map(|cell| cell.value.as_f64()).reduce(|a, b| a + b)
            };
            let is_row = table.columns[at].outer;
            let of_row = |row: &Row| if is_row { number(row.cells[at].as_ref()) } else { of_parts(row) };
            let by = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => turned(b.total_cmp(&a)),
                (a, b) => b.is_some().cmp(&a.is_some()),
            };
            let mut keyed: Vec<_> = rows.into_iter().map(|row| (of_row(&row), row)).collect();
            keyed.sort_by(|a, b| by(a.0, b.0));
            table.rows = keyed.into_iter().map(|(_, row)| row).collect();
            for row in table.rows.iter_mut().filter(|_| !is_row) {
                row.sub_rows.sort_by(|a, b| by(number(a.cells[at].as_ref()), number(b.cells[at].as_ref())));
            }
        }
        let sum_row = table.declared.sum_row;
        table.rows.sort_by_key(|row| !sum_row.is_empty() && row.name == sum_row);
    }
}

/// Returns the trouble that a heartbeat tells.
fn of_health(cell: Option<&Cell>) -> Option<Trouble> {
    match Health::of(cell) {
        Health::Up => None,
        Health::Down => Some(Trouble::Bad),
        Health::Silent | Health::Unknown => Some(Trouble::Worse),
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
        ("", Kind::Most(measurement, field, _) | Kind::Mean(measurement, field, _)) => {
            measurement.field(field).map_or("", |field| field.meaning)
        }
        ("", Kind::One(measurement, ..)) => measurement.meaning,
        ("", Kind::Pivot(pivot)) if !pivot.field.is_empty() => column.field().map_or("", |field| field.meaning),
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
