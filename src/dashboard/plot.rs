//! A plot as SVG: for mail, wikis and browsers without JavaScript. Pure.

use anyhow::{Context, Result};

use super::history::History;

/// How a plot looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Width in pixels; 100 to 4000, 900 by default.
    pub width: u32,
    /// Height in pixels; 80 to 4000, 340 by default.
    pub height: u32,
    /// Light letters on dark ground.
    pub dark: bool,
}

impl Look {
    /// Reads `width`, `height` and `theme` of a query.
    ///
    /// # Errors
    /// When a size is out of range.
    pub fn new(pairs: &[(String, String)]) -> Result<Self> {
        let size = |name: &str, least: u32, default: u32| {
            let Some((_, text)) = pairs.iter().find(|(other, _)| other == name) else { return Ok(default) };
            let size = text.parse().ok().filter(|size| (least..=4000).contains(size));
            size.with_context(|| format!("{name} is not {least} to 4000"))
        };
        let dark = pairs.iter().any(|(name, value)| name == "theme" && value == "dark");
        Ok(Self { width: size("width", 100, 900)?, height: size("height", 80, 340)?, dark })
    }
}

/// The plot.
pub fn svg(history: &History, look: &Look) -> String {
    let Look { width, height, .. } = look;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\"><title>{} numbers</title></svg>",
        history.series.len()
    )
}
