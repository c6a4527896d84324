//! What happened, below a plot: a shape for each event, and a dotted line where it began. Pure.

use super::scene::{Scene, Shape, Stroke};

/// The height that the shapes take, in pixels.
pub(super) const HIGH: f64 = 14.0;

/// An event of what is plotted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When it began, in unix seconds.
    pub since: i64,
    /// What it is drawn as.
    pub kind: MarkKind,
}

/// How bad an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// Down, lost or over its limit: a triangle on its head.
    Bad,
    /// Worse than usual: a triangle.
    Worse,
    /// Off, changed or not collected: a square on its corner.
    Other,
}

/// Draws a mark at `x`, its line from `top` to `bottom` and its shape around `middle`; `bad` and `worse` are the colours.
pub(super) fn draw(
    scene: &mut Scene,
    kind: MarkKind,
    x: f64,
    (top, bottom, middle): (f64, f64, f64),
    (bad, worse): (&'static str, &'static str),
) {
    let (left, above, below) = (x - 4.0, middle - 3.5, middle + 3.5);
    let (colour, path) = match kind {
        MarkKind::Bad => (bad, format!("M{left:.1} {above:.1}h8L{x:.1} {below:.1}Z")),
        MarkKind::Worse => (worse, format!("M{left:.1} {below:.1}h8L{x:.1} {above:.1}Z")),
        MarkKind::Other => (scene.quiet, format!("M{x:.1} {:.1}l4 4l-4 4l-4 -4Z", middle - 4.0)),
    };
    let stroke = Stroke { colour, width: None, is_round: false, dashes: "1 3" };
    scene.lines.push(vec![
        Shape::Line { class: Some("event"), path: format!("M{x:.1} {top:.1}V{bottom:.1}"), stroke },
        Shape::Area { class: "event", path, colour, opacity: "1" },
    ]);
}
