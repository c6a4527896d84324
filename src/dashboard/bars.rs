//! The 24-hour bars and small lines of a page.

use std::collections::BTreeMap;
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
use crate::view::bar::{Bar, Bars, CELL_SECONDS, Lines, SmallLine, range, range_of};
use crate::view::page::{Column, Kind, Past};
use crate::view::plot::SWITCH;
use crate::view::table::{Cell, Section};

/// The most heartbeats of a page that have a bar.
const MOST: usize = 500;

/// The most numbers of a page that are in small lines.
const MOST_LINES: usize = 1000;

/// How many numbers one question names.
const AT_ONCE: usize = 50;

/// How long a page waits for its bars; later ones come with its refresh.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A number that tells the health of a row.
struct Heartbeat {
    wanted: Wanted,
    /// The interval of its series, in seconds.
    every: i64,
    /// Whether it is up whenever it is there.
    is_presence: bool,
}

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

    fn read_bars(&self, heartbeats: &[Heartbeat]) -> Result<Bars> {
        let (from, to) = range((self.now)());
        let mut bars = Bars::new();
        for some in heartbeats.chunks(AT_ONCE) {
            let wanted: Vec<_> = some.iter().map(|one| one.wanted.clone()).collect();
            self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
            // What is rare holds for long, so the last value before the first cell counts too.
            let longest = some.iter().map(|one| one.every).max().unwrap_or_default();
            let begin = if longest > CELL_SECONDS { from - longest } else { from };
            let all = self.backend.range(&wanted, begin, to, Detail::Step(CELL_SECONDS))?;
            for (Heartbeat { wanted, every, is_presence }, values) in some.iter().zip(all) {
                let bar = Bar::new(&values, from, *every);
                bars.insert(wanted.path.clone(), if *is_presence { bar.of_presence() } else { bar });
            }
        }
        Ok(bars)
    }

    fn read_lines(&self, lined: &[(Past, Wanted)]) -> Result<Lines> {
        let mut lines = Lines::new();
        for past in [Past::Day, Past::Nights, Past::Year] {
            let (from, to) = range_of(past, (self.now)());
            let of_past: Vec<_> = lined.iter().filter(|(of, _)| *of == past).map(|(_, one)| one.clone()).collect();
            for some in of_past.chunks(AT_ONCE) {
                self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
                let all = self.backend.range(some, from, to, Detail::Step(past.cell_seconds()))?;
                let each = some.iter().zip(all);
                lines.extend(each.map(|(one, values)| (one.path.clone(), SmallLine::of(&values, past, from))));
            }
        }
        Ok(lines)
    }

    /// Returns the numbers that a page shows with a small line, or something else of their past, each with that.
    fn lined(&self, state: &PageState, sections: &[Section]) -> Vec<(Past, Wanted)> {
        let mut paths = BTreeMap::new();
        // A large page without small lines is not made for nothing.
        if !state.page.columns().any(Column::has_past) {
            return Vec::new();
        }
        for section in sections {
            for table in section.tables(&state.page, false) {
                let has_line = |at: &usize| table.columns[*at].has_line();
                let columns: Vec<_> = (0..table.columns.len()).filter(has_line).collect();
                let rows =
                    table.rows.iter().flat_map(|row| row.sub_rows.iter().map(|part| &part.cells).chain([&row.cells]));
                let past = |at: usize| table.columns[at].declared.past;
                let cells = rows.flat_map(|cells| columns.iter().filter_map(|at| Some((cells[*at]?, past(*at)))));
                paths.extend(cells.map(|(cell, past)| (cell.path().to_string(), past)));
            }
        }
        let wanted = paths.iter().filter_map(|(path, past)| Some((*past, Wanted::new(path, self.catalog).ok()?)));
        wanted.take(MOST_LINES).collect()
    }

    /// Returns the heartbeats that a page shows. Another number may stand for the health of a row; that one has no bar, unless it is
    /// declared that its being there is health.
    fn heartbeats(&self, state: &PageState, sections: &[Section]) -> Vec<Heartbeat> {
        let mut heartbeats = Vec::new();
        if !state.page.columns().any(|column| matches!(column.kind, Kind::Health(..))) {
            return heartbeats;
        }
        for section in sections {
            for table in section.tables(&state.page, false).iter().filter(|table| table.has_health()) {
                let cells = table.rows.iter().flat_map(|row| table.healths(row)).flatten();
                let is_presence = table.has_presence();
                let of = |cell: Cell| {
                    let wanted = Wanted::new(cell.path(), self.catalog).ok()?;
                    Some(Heartbeat { wanted, every: cell.every, is_presence })
                };
                let known = cells.filter_map(of).filter(|one| is_presence || one.wanted.number.field.unit == SWITCH);
                heartbeats.extend(known.take(MOST.saturating_sub(heartbeats.len())));
            }
        }
        heartbeats
    }
}
