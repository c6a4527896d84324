//! A picture as shapes, drawn as SVG here and as PNG in png.rs. Pure.
//!
//! Lengths are texts, rounded once: both pictures have the same.

use std::fmt::Write as _;

use super::html::escaped;

/// A picture.
#[derive(Debug)]
pub struct Scene {
    /// Its width, in pixels.
    pub width: f64,
    /// Its height, in pixels.
    pub height: f64,
    /// Its title, which is not drawn.
    pub title: String,
    /// One sentence about it, which is not drawn.
    pub description: String,
    /// The colour of the ground, `#rrggbb` as all colours.
    pub ground: &'static str,
    /// The colour of texts.
    pub ink: &'static str,
    /// The colour of hatched gaps.
    pub quiet: &'static str,
    /// The shapes, from the lowest to the topmost; those of one line of SVG together.
    pub lines: Vec<Vec<Shape>>,
}

/// A shape. A path is that of SVG, of the commands `M m L H h V v Z`.
#[derive(Debug)]
pub enum Shape {
    /// A line.
    Line {
        /// Its class in SVG.
        class: Option<&'static str>,
        /// Its path.
        path: String,
        /// How it is drawn.
        stroke: Stroke,
    },
    /// An area.
    Area {
        /// Its class in SVG.
        class: &'static str,
        /// Its path.
        path: String,
        /// Its colour.
        colour: &'static str,
        /// How opaque it is, 0 to 1.
        opacity: &'static str,
    },
    /// A hatched rectangle: nothing is known here.
    Gap {
        /// Its left end.
        x: String,
        /// Its upper end.
        y: String,
        /// Its width.
        width: String,
        /// Its height.
        height: String,
    },
    /// A text.
    Text(Text),
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Stroke {
    /// Its colour.
    pub colour: &'static str,
    /// Its width; `None` for one pixel of the grid.
    pub width: Option<&'static str>,
    /// Whether its ends and corners are round.
    pub is_round: bool,
    /// The lengths of its dashes and of the space between them; empty for a whole line.
    pub dashes: &'static str,
}

/// A text.
#[derive(Debug)]
pub struct Text {
    /// Its class in SVG.
    pub class: Option<&'static str>,
    /// Where its anchor lies.
    pub x: String,
    /// Where its baseline lies.
    pub y: String,
    /// What of it lies there.
    pub anchor: Anchor,
    /// Whether it runs upwards.
    pub is_turned: bool,
    /// Its colour; `None` for that of all texts.
    pub colour: Option<&'static str>,
    /// The text.
    pub text: String,
}

/// Which part of a text lies at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

impl Shape {
    /// Returns a line of the grid.
    pub fn thin(path: String, colour: &'static str) -> Self {
        Self::Line { class: None, path, stroke: Stroke { colour, width: None, is_round: false, dashes: "" } }
    }

    fn svg(&self, svg: &mut String) {
        let attribute =
            |name: &str, value: Option<&str>| value.map(|value| format!(" {name}=\"{value}\"")).unwrap_or_default();
        let _ = match self {
            Self::Line { class, path, stroke: Stroke { colour, width, is_round, dashes } } => {
                let fill = if *is_round { " fill=\"none\"" } else { "" };
                let round = if *is_round { " stroke-linejoin=\"round\" stroke-linecap=\"round\"" } else { "" };
                let dashes = attribute("stroke-dasharray", Some(*dashes).filter(|dashes| !dashes.is_empty()));
                let (class, width) = (attribute("class", *class), attribute("stroke-width", *width));
                write!(svg, "<path{class} d=\"{path}\"{fill}{width}{round} stroke=\"{colour}\"{dashes}/>")
            }
            Self::Area { class, path, colour, opacity } => {
                write!(svg, "<path class=\"{class}\" d=\"{path}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>")
            }
            Self::Gap { x, y, width, height } => write!(
                svg,
                "<rect class=\"gap\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"url(#gap)\"/>"
            ),
            Self::Text(Text { class, x, y, anchor, is_turned, colour, text }) => {
                let anchor = match anchor {
                    Anchor::Start => None,
                    Anchor::Middle => Some("middle"),
                    Anchor::End => Some("end"),
                };
                let turn = is_turned.then(|| format!("rotate(-90 {x} {y})"));
                let (class, anchor) = (attribute("class", *class), attribute("text-anchor", anchor));
                let (turn, colour) = (attribute("transform", turn.as_deref()), attribute("fill", *colour));
                write!(svg, "<text{class} x=\"{x}\" y=\"{y}\"{anchor}{turn}{colour}>{}</text>", escaped(text))
            }
        };
    }
}

impl Text {
    /// Returns a text that begins at a place.
    pub fn new(x: String, y: String, text: String) -> Self {
        Self { class: None, x, y, anchor: Anchor::Start, is_turned: false, colour: None, text }
    }
}

impl Scene {
    /// Returns the picture as SVG.
    pub fn svg(&self) -> String {
        let Self { width, height, ground, ink, quiet, .. } = self;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" font-size=\"11\" fill=\"{ink}\">\n<title>{}</title>\n<desc>{}</desc>\n\
             <defs><pattern id=\"gap\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><path d=\"M0 6L6 0\" \
             stroke=\"{quiet}\" stroke-width=\"0.8\"/></pattern></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"{ground}\"/>\n",
            escaped(&self.title),
            escaped(&self.description),
        );
        for line in &self.lines {
            line.iter().for_each(|shape| shape.svg(&mut svg));
            svg.push('\n');
        }
        svg.push_str("</svg>\n");
        svg
    }
}
