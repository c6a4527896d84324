//! The smallest page: a table of machines, from the newest values of a measurement. Copy it to begin a new one.
//!
//! In the house the declaration stands beside its measurements in `src/monitors/SYSTEM/page.rs` and in `setup/pages.rs`; the dashboard
//! then makes HTML, JSON and text of it, with a link from each number to its plot. Try it without any server:
//!
//! ```sh
//! cargo run --example page
//! ```

use std::sync::Arc;

use gridmon::model::{Catalog, Declaration, Field, Fold, Measurement, Point, SECOND, Tag, Value};
use gridmon::query::Latest;
use gridmon::view::page::{Column, Page, Table, field, health, key};
use gridmon::view::{table, text};

/// What is shown.
static MACHINE: Measurement = Measurement::new(Declaration {
    name: "example_machine",
    meaning: "one machine",
    tags: &[Tag::key("site"), Tag::key("machine")],
    fields: &[UP.info(), LOAD.info(), ERRORS.info()],
    carbon: "example.{site}.{machine}.{field}",
    every: 60,
});

const UP: Field<i64> = Field::gauge("up", "0 or 1", Fold::Mean, "whether it answers");
const LOAD: Field<f64> = Field::gauge("load", "tasks", Fold::Mean, "how many want to run");
const ERRORS: Field<i64> = Field::gauge("errors", "errors", Fold::Max, "in the last minute");

/// The page: a section for each site, a row for each machine, a column for each field. Errors that are not zero are marked.
static COLUMNS: &[Column] =
    &[key("machine"), health(&MACHINE, "up"), field(&MACHINE, "load"), field(&MACHINE, "errors").alarm(&["errors"])];

static PAGE: Page = Page {
    name: "machines",
    title: "Machines",
    part_of: "",
    overview: None,
    own: &[],
    own_tables: &[],
    near: None,
    section: Some("site"),
    program: "collect-machines",
    every: 60,
    tables: &[Table::new("machines", "Machines", COLUMNS).noun("machine")],
    text: &[],
    json: &[],
    plots: &[],
};

static MEASUREMENTS: [&Measurement; 1] = [&MACHINE];

/// The newest values, which a store gives: `setup::reader(&config)?.latest(&[&MACHINE], now)`.
fn latest(points: &[Point]) -> Vec<Latest> {
    let of_point = |point: &Point| {
        let series = Arc::new(point.clone());
        let value = |(name, value): (&str, Value)| Latest {
            series: Arc::clone(&series),
            field: MACHINE.field(name).expect("a declared field"),
            time: point.time(),
            value,
            every: MACHINE.every,
        };
        point.fields().map(value).collect::<Vec<_>>()
    };
    points.iter().flat_map(of_point).collect()
}

/// The page as a terminal shows it.
fn shown(points: &[Point], now: i64) -> String {
    let sections = table::sections(&PAGE, latest(points));
    sections.iter().map(|section| text::section(&PAGE, section, now, false)).collect()
}

/// Values that a collector would have sent a second ago.
fn points(time: i64) -> Vec<Point> {
    let machine = |name: &str, up, load, errors| {
        MACHINE.point(time * SECOND, ["site1", name], &[UP.of(up), LOAD.of(load), ERRORS.of(errors)])
    };
    let mut points = vec![machine("wn001", 1, 3.5, 0), machine("wn002", 0, 0.0, 4)];
    points.iter_mut().for_each(|point| Catalog::new(&MEASUREMENTS).declare(point));
    points
}

fn main() {
    let now = 1_717_245_000;
    print!("{}", shown(&points(now - 1), now));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_row_for_each_machine_and_says_which_is_down() {
        let text = shown(&points(1_717_244_999), 1_717_245_000);
        assert!(text.starts_with("site1 at 2024-06-01 12:29 UTC, "), "{text}");
        let row = |name: &str| {
            text.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(row("machine"), ["machine", "is", "load", "errors"]);
        assert_eq!(row("wn001"), ["wn001", "up", "3.50", "0"]);
        assert_eq!(row("wn002"), ["wn002", "DOWN", "0.00", "4"]);
    }
}
