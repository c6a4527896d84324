//! Pages: what a page declares, the tables that its newest numbers make, and three renderers of these tables.
//!
//! ```text
//! page.rs (a declaration, data) + newest values ──table.rs──▶ tables ──▶ text.rs, html.rs
//!                                                        └──json.rs──▶ JSON
//! ```
//!
//! All of it is pure. It knows no measurement by name: the declarations stand beside the measurements, in `monitors`.

pub mod history;
pub mod html;
pub mod json;
pub mod page;
pub mod plot;
pub mod table;
pub mod text;
