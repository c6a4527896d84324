//! Tables, plots and histories, as text, HTML, JSON and SVG. Pure.

pub mod history;
pub mod html;
pub mod plot;
pub mod summary;
