//! The 24-hour bars and small lines of a page.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;

use super::Dashboard;
use super::aside::Last;
use super::routes::Names;
use super::summary::PageState;
use crate::os::work::catch;
use crate::query::{Detail, Wanted};
use crate::view::bar::{Bar, Bars, CELL_SECONDS, Lines, SmallLine, range};
use crate::view::page::Kind;
use crate::view::plot::SWITCH;
use crate::view::table::Section;

/// The most heartbeats of a page that have a bar.
const MOST: usize = 500;

/// The most numbers of a page that are in small lines.
const MOST_LINES: usize = 1000;

/// How many numbers one question names.
const AT_ONCE: usize = 50;

/// How long a page waits for its bars; later ones come with its refresh.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The bars and small lines of a page.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    pub bars: Bars,
    pub lines: Lines,
}

impl Dashboard {
    /// Returns the bars and small lines of the page that an address names; those of the last time if the store does not answer.
    pub(super) async fn bars(self: &Arc<Self>, names: &Names, sections: &[Section]) -> Arc<Last<Drawn>> {
        let Ok(state) = self.page(names) else { return Arc::default() };
        if let Some(last) = self.fresh(&state.bars) {
            return last;
        }
        let (heartbeats, lined) = (self.heartbeats(state, sections), self.lined(state, sections));
        if heartbeats.is_empty() && lined.is_empty() {
            return state.bars.last();
        }
        let read = move |this: &Self, last: &Drawn| {
            let bars = catch(|| this.read_bars(&heartbeats)).flatten();
            let lines = if bars.is_ok() { catch(|| this.read_lines(&lined)).flatten() } else { Ok(Lines::new()) };
            if bars.is_err() || lines.is_err() {
                this.counts.store_failures.fetch_add(1, Ordering::Relaxed);
            }
            // If the store does not answer, the page says so by its numbers; the next try is as far away as after an answer.
            Drawn {
                bars: bars.unwrap_or_else(|_| last.bars.clone()),
                lines: lines.unwrap_or_else(|_| last.lines.clone()),
            }
        };
        self.read_aside(&state.bars, TIMEOUT, read).await
    }

    fn read_bars(&self, heartbeats: &[(Wanted, i64)]) -> Result<Bars> {
        let (from, to) = range((self.now)());
        let mut bars = Bars::new();
        for some in heartbeats.chunks(AT_ONCE) {
            let wanted: Vec<_> = some.iter().map(|(wanted, _)| wanted.clone()).collect();
            self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
            // What is rare holds for long, so the last value before the first cell counts too.
            let longest = some.iter().map(|(_, every)| *every).max().unwrap_or_default();
            let begin = if longest > CELL_SECONDS { from - longest } else { from };
            let all = self.backend.range(&wanted, begin, to, Detail::Step(CELL_SECONDS))?;
            for ((wanted, every), values) in some.iter().zip(all) {
                bars.insert(wanted.path.clone(), Bar::new(&values, from, *every));
            }
        }
        Ok(bars)
    }

    fn read_lines(&self, lined: &[Wanted]) -> Result<Lines> {
        let (from, to) = range((self.now)());
        let mut lines = Lines::new();
        for some in lined.chunks(AT_ONCE) {
            self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
            let all = self.backend.range(some, from, to, Detail::Step(CELL_SECONDS))?;
            lines.extend(some.iter().zip(all).map(|(one, values)| (one.path.clone(), SmallLine::new(&values, from))));
        }
        Ok(lines)
    }

    /// Returns the numbers that a page shows with a small line.
    fn lined(&self, state: &PageState, sections: &[Section]) -> Vec<Wanted> {
        let mut paths = BTreeSet::new();
        // A large page without small lines is not made for nothing.
        if !state.page.columns().any(|column| !column.lines.is_empty()) {
            return Vec::new();
        }
        for section in sections {
            for table in section.tables(&state.page, false) {
                let has_line = |at: &usize| table.columns[*at].has_line();
                let columns: Vec<_> = (0..table.columns.len()).filter(has_line).collect();
                let rows =
                    table.rows.iter().flat_map(|row| row.sub_rows.iter().map(|part| &part.cells).chain([&row.cells]));
                let cells = rows.flat_map(|cells| columns.iter().filter_map(|at| cells[*at]));
                paths.extend(cells.map(|cell| cell.path().to_string()));
            }
        }
        let wanted = paths.iter().filter_map(|path| Wanted::new(path, self.catalog).ok());
        wanted.take(MOST_LINES).collect()
    }

    /// Returns the heartbeats that a page shows, each with the interval of its series in seconds. Another number may stand for
    /// the health of a row; that one has no bar.
    fn heartbeats(&self, state: &PageState, sections: &[Section]) -> Vec<(Wanted, i64)> {
        let mut heartbeats = Vec::new();
        if !state.page.columns().any(|column| matches!(column.kind, Kind::Health(..))) {
            return heartbeats;
        }
        for section in sections {
            for table in section.tables(&state.page, false).iter().filter(|table| table.has_health()) {
                let cells = table.rows.iter().flat_map(|row| table.healths(row)).flatten();
                let wanted = cells.filter_map(|cell| Some((Wanted::new(cell.path(), self.catalog).ok()?, cell.every)));
                let wanted = wanted.filter(|(wanted, _)| wanted.number.field.unit == SWITCH);
                heartbeats.extend(wanted.take(MOST.saturating_sub(heartbeats.len())));
            }
        }
        heartbeats
    }
}
