//! Long tables: a page has their first lines, and buttons for the others. Sums, sorting and finding look at all of them.

use super::*;

/// How many cells of a table a page has at first. A browser's work goes by the cells: 200 lines of two numbers are shown as soon as
/// 120 of twenty.
const CELLS: usize = 2400;

/// The most and the fewest lines that these are.
const LINES: (usize, usize) = (50, 200);

/// How much longer than what is asked for a table may be to be shown whole, as a part of it.
const SPARE: usize = 4;

/// The word of an address for all lines.
const ALL: &str = "all";

/// How many lines of a table are shown, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub shown: usize,
    pub all: usize,
}

impl Part {
    /// Returns the part of a table with so many lines and columns, given the address's word for it.
    fn of(all: usize, columns: usize, word: Option<&str>) -> Self {
        let first = (CELLS / columns.max(1)).clamp(LINES.0, LINES.1);
        let asked = match word {
            Some(ALL) => usize::MAX,
            word => word.and_then(|word| word.parse().ok()).unwrap_or(first).max(1),
        };
        let shown = if all <= asked.saturating_add(asked / SPARE) { all } else { asked };
        Self { shown, all }
    }

    fn is_whole(self) -> bool {
        self.shown == self.all
    }
}

impl SectionView<'_> {
    /// Returns how much of a table is shown.
    pub(super) fn part(&self, table: &Table) -> Part {
        let all = table.rows.iter().map(|row| self.lines(table, row)).sum();
        let is_of = |word: &&String| table_of(word) == table.declared.name;
        let word = self.view.options.rows.iter().find(is_of).and_then(|word| word.split_once(':'));
        Part::of(all, places(table).len(), word.map(|(_, count)| count))
    }

    /// Returns the number of lines of a row.
    fn lines(&self, table: &Table, row: &Row) -> usize {
        match table.declared.folded {
            true if self.is_unfolded(row) => 1 + row.sub_rows.len(),
            true => 1,
            false => row.sub_rows.len(),
        }
    }

    /// Returns the rows that are shown, each with its number of lines: the first ones, and a row that is the sum of the others.
    pub(super) fn shown_rows<'t, 'a>(&self, table: &'t Table<'a>, part: Part) -> Vec<(&'t Row<'a>, usize)> {
        let mut left = part.shown;
        let mut shown = Vec::new();
        for row in &table.rows {
            let lines = self.lines(table, row);
            let is_sum = !table.declared.sum_row.is_empty() && row.name == table.declared.sum_row;
            // What folds stays whole.
            let fits = if table.declared.folded && left > 0 { lines } else { lines.min(left) };
            if is_sum || fits > 0 {
                shown.push((row, if is_sum { lines } else { fits }));
            }
            left = left.saturating_sub(lines);
        }
        shown
    }

    /// Writes the last row of a table that is not shown whole: how much of it is, and buttons for more.
    pub(super) fn more(&self, html: &mut String, table: &Table, part: Part) {
        if part.is_whole() {
            return;
        }
        let Part { shown, all } = part;
        let (name, columns) = (table.declared.name, places(table).len());
        let next = Part::of(all, columns, Some(&(2 * shown).to_string())).shown;
        let mut buttons = String::new();
        if next < all {
            buttons = choice("rows", &format!("{name}:{next}"), &format!("{} more", next - shown)) + " ";
        }
        buttons += &choice("rows", &format!("{name}:{ALL}"), &format!("all {all}"));
        let _ = writeln!(
            html,
            "<tbody class=\"remaining\" data-key=\" more\"><tr><td colspan=\"{columns}\"><span>{shown} of {all} rows</span> {buttons} \
             <span class=\"quiet\">Sums, sorting and finding look at all of them.</span><span class=\"paper\">The others are not on \
             this paper: choose “all {all}” before you print.</span></td></tr></tbody>"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_cut_only_if_much_is_left() {
        let part = |all, word| {
            let part = Part::of(all, 7, word);
            (part.shown, part.is_whole())
        };
        assert_eq!(part(250, None), (250, true));
        assert_eq!(part(251, None), (200, false));
        assert_eq!(part(3000, Some("400")), (400, false));
        assert_eq!(part(3000, Some("all")), (3000, true));
        assert_eq!(part(3000, Some("2400")), (3000, true));
        assert_eq!(part(3000, Some("0")), (1, false));
        assert_eq!(part(3000, Some("-1")), (200, false));
        assert_eq!(part(0, Some("18446744073709551615")), (0, true));
    }

    #[test]
    fn a_wide_table_is_cut_sooner() {
        let shown = |columns| Part::of(3000, columns, None).shown;
        assert_eq!([0, 1, 7, 15, 20, 30, 1000].map(shown), [200, 200, 200, 160, 120, 80, 50]);
        assert!(Part::of(150, 20, None).is_whole());
    }
}
