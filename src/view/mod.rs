//! Pages: their declaration, the tables of their newest numbers, and three renderers of these tables.
//!
//! ```text
//! page.rs (a declaration, data) + newest values ──table.rs──▶ tables ──▶ text.rs, html.rs
//!                                                        └──json.rs──▶ JSON
//! ```
//!
//! All of it is pure, and names no measurement: the declarations stand beside the measurements, in `monitors`.

pub mod bar;
mod calendar;
mod drawn;
#[cfg(feature = "png")]
pub mod font;
pub mod grafana;
pub mod graph;
pub mod help;
pub mod history;
pub mod html;
pub mod json;
pub mod marks;
mod nights;
pub mod page;
pub mod plot;
pub mod png;
pub mod scatter;
pub mod scene;
pub mod selection;
pub mod table;
pub mod text;
