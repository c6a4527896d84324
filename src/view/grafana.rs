//! Dashboards of Grafana over Graphite, made of the declarations of pages: a panel for each column of numbers. Pure.
//!
//! contrib/grafana/graphite has those of the pages; a test makes them anew, and asks each of their queries of a real graphite-web.

use serde_json::{Value, json};

use super::page::{Column, Kind, Page, Table};
use crate::model::Measurement;

/// The version of the form, that of Grafana 10.
const SCHEMA: u32 = 39;

/// How wide and how high a panel is, in cells; a dashboard is 24 wide.
const PANEL: (usize, usize) = (8, 7);

/// How many panels stand side by side.
const BESIDE: usize = 24 / PANEL.0;

/// Returns the dashboard of a page.
pub fn dashboard(page: &Page) -> Value {
    let mut panels = Vec::<Value>::new();
    let mut top = 0;
    // What unfolds below a row has a name of its own, and so has its lines.
    let unfolded = page.tables.iter().filter_map(|table| table.unfolds).flat_map(|unfolds| unfolds.tables);
    for table in page.tables.iter().chain(unfolded.filter(|table| table.keys().next().is_some())) {
        let queries: Vec<_> = table.columns.iter().filter_map(|column| query(page, table, column)).collect();
        if queries.is_empty() {
            continue;
        }
        let place = json!({"x": 0, "y": top, "w": 24, "h": 1});
        let id = panels.len() + 1;
        panels.push(
            json!({"id": id, "type": "row", "title": table.caption, "gridPos": place, "collapsed": false, "panels": []}),
        );
        for (at, query) in queries.iter().enumerate() {
            let (x, y) = (at % BESIDE * PANEL.0, top + 1 + at / BESIDE * PANEL.1);
            panels.push(panel(panels.len() + 1, (x, y), query));
        }
        top += 1 + queries.len().div_ceil(BESIDE) * PANEL.1;
    }
    json!({
        "uid": format!("gridmon-graphite-{}", page.name),
        "title": format!("gridmon: {}", page.title),
        "tags": ["gridmon", "graphite"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": variables(page)},
        "panels": panels,
    })
}

/// What a panel shows.
struct Query {
    title: String,
    meaning: &'static str,
    unit: &'static str,
    target: String,
}

/// Returns the tag of which a dashboard shows one value or all: that of the sections, else the first name of the rows.
fn chosen(page: &Page) -> Option<&'static str> {
    page.section.or_else(|| page.tables.first()?.keys().next())
}

fn variables(page: &Page) -> Vec<Value> {
    let source = json!({
        "name": "graphite", "label": "Graphite", "type": "datasource", "query": "graphite", "current": {}, "hide": 0,
        "includeAll": false, "multi": false, "options": [], "refresh": 1, "regex": ""
    });
    let measurements = page.measurements();
    let variable = chosen(page).and_then(|tag| {
        let at = |one: &&Measurement| components(one).position(|name| name == format!("{{{tag}}}"));
        // The shortest way to the names.
        let (of, at) = measurements.iter().filter_map(|one| Some((one, at(one)?))).min_by_key(|(_, at)| *at)?;
        let before: Vec<_> = components(of).take(at).map(|name| if is_tag(name) { "*" } else { name }).collect();
        let query = [before.as_slice(), &["*"]].concat().join(".");
        Some(json!({
            "name": tag, "label": tag, "type": "query", "datasource": {"type": "graphite", "uid": "${graphite}"},
            "query": query, "definition": query, "current": {"text": "All", "value": "$__all", "selected": true},
            "includeAll": true, "allValue": "*", "multi": false, "hide": 0, "options": [], "refresh": 2, "regex": "",
            "sort": 1
        }))
    });
    [Some(source), variable].into_iter().flatten().collect()
}

/// Returns the components of a Carbon path as it is declared; a host's folders are one of them.
fn components(measurement: &Measurement) -> impl Iterator<Item = &str> {
    let plain = |name: &'static str| if name == "{host/}" { "{host}" } else { name };
    measurement.carbon.split('.').map(plain)
}

fn is_tag(component: &str) -> bool {
    component.starts_with('{')
}

/// Returns what is asked for a column; `None` if it has no numbers, or if Carbon does not get them.
fn query(page: &Page, table: &Table, column: &Column) -> Option<Query> {
    let measurement = column.measurement()?;
    let (field, only) = match column.kind {
        Kind::Key(_) | Kind::Label(..) => return None,
        Kind::Field(_, field) | Kind::Health(_, field) | Kind::Switch(_, field) => (measurement.field(field)?, None),
        Kind::Most(_, field, _) | Kind::Mean(_, field, _) => (measurement.field(field)?, None),
        Kind::One(_, tag, value) => (measurement.fields.first()?, Some((tag, value))),
        Kind::Pivot(_) => (column.field()?, None),
    };
    if !field.carbon || page.plots.iter().any(|place| std::ptr::eq(place.measurement, measurement)) {
        return None;
    }
    let chosen = chosen(page)?;
    let count = components(measurement).count() as i64;
    let (mut path, mut names) = (Vec::new(), Vec::new());
    for (at, component) in components(measurement).enumerate() {
        let tag = component.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        path.push(match (tag, only) {
            (None, _) => component.to_string(),
            (Some("field"), _) => field.name.to_string(),
            (Some(tag), Some((own, value))) if tag == own => value.to_string(),
            (Some(tag), _) if tag == chosen => format!("${tag}"),
            (Some(_), _) => "*".into(),
        });
        let is_said = tag.is_some_and(|tag| tag != "field" && only.is_none_or(|(own, _)| own != tag));
        // A host may be several components, so the place is counted from the end.
        names.extend(is_said.then_some((at as i64 - count).to_string()));
    }
    let mut target = path.join(".");
    if let Some((_, value)) = column.except {
        target = format!("exclude({target}, '\\.{value}(\\.|$)')");
    }
    let target = format!("aliasByNode({target}, {})", names.join(", "));
    let head = match column.kind {
        Kind::Pivot(pivot) => format!("by {}", pivot.tag),
        // Several may stand in one cell under one word.
        _ if column.is_inside => field.name.to_string(),
        _ => column.head.to_string(),
    };
    let of = if column.group.is_empty() { table.caption } else { column.group };
    let meaning = super::selection::column_meaning(column);
    Some(Query { title: format!("{of}: {head}"), meaning, unit: unit(field.unit), target })
}

/// Returns Grafana's word for a unit.
fn unit(unit: &str) -> &'static str {
    match unit {
        "bytes" => "decbytes",
        "bytes/s" | "bytes per second" => "Bps",
        "packets per second" => "pps",
        "seconds" => "s",
        "percent" | "%" => "percent",
        "ratio" => "percentunit",
        "°C" => "celsius",
        _ => "short",
    }
}

fn panel(id: usize, (x, y): (usize, usize), query: &Query) -> Value {
    let source = json!({"type": "graphite", "uid": "${graphite}"});
    json!({
        "id": id,
        "type": "timeseries",
        "title": query.title,
        "description": query.meaning,
        "datasource": source,
        "gridPos": {"x": x, "y": y, "w": PANEL.0, "h": PANEL.1},
        "targets": [{"refId": "A", "datasource": source, "target": query.target}],
        "fieldConfig": {"defaults": {"unit": query.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}, "tooltip": {"mode": "multi"}},
    })
}
