//! Two numbers of each row against each other, both axes by powers of ten: what is far from what is usual shows. Pure.

use std::fmt::Write as _;

use super::html::escaped;
use crate::text::{count, large, one_line};

/// How far from the median of the ratios is still usual.
const USUAL: f64 = 3.0;

/// The most dots that are named, the farthest first.
const NAMED: usize = 10;

/// The size of the picture and of its margins, in pixels.
const SIZE: (f64, f64) = (560.0, 300.0);
const LEFT: f64 = 48.0;
const BELOW: f64 = 34.0;
const EDGE: f64 = 10.0;

/// About how wide a letter of a name is, in pixels.
const LETTER: f64 = 7.4;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dot<'a> {
    /// Its name.
    pub name: &'a str,
    /// The number on the horizontal axis.
    pub x: f64,
    /// The number on the vertical axis.
    pub y: f64,
}

/// An axis of powers of ten.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(numbers: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = numbers.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = numbers.fold(0.0, f64::max).log10().ceil().max(low + 1.0);
        Self { low, high, from, to }
    }

    /// Returns where the logarithm of a number stands.
    fn at(&self, power: f64) -> f64 {
        self.from + (self.to - self.from) * (power - self.low) / (self.high - self.low)
    }

    fn powers(&self) -> impl Iterator<Item = f64> {
        let low = self.low;
        (0..=((self.high - self.low).clamp(1.0, 40.0) as u32)).map(move |power| low + f64::from(power))
    }
}

/// Returns the median of y / x of the dots with both numbers; `None` if there are none.
fn median(dots: &[Dot]) -> Option<f64> {
    let mut ratios: Vec<_> = dots.iter().map(|dot| dot.y / dot.x).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied()
}

/// Returns the picture with its caption; empty if fewer than three rows have both numbers above zero. `words` are those of the
/// axes and of one dot.
pub fn html(all: &[Dot], (x_word, y_word, noun): (&str, &str, &str)) -> String {
    // What is beyond that is no count, and its powers would fill the picture.
    let is_positive = |dot: &&Dot| (1e-6..1e15).contains(&dot.x) && (1e-6..1e15).contains(&dot.y);
    let dots: Vec<_> = all.iter().filter(is_positive).copied().collect();
    let Some(usual) = median(&dots).filter(|_| dots.len() >= 3) else { return String::new() };
    let (width, height) = SIZE;
    let x = Axis::new(dots.iter().map(|dot| dot.x), LEFT, width - EDGE);
    let y = Axis::new(dots.iter().map(|dot| dot.y), height - BELOW, EDGE);
    let far = |dot: &Dot| (dot.y / dot.x / usual).log10();
    let mut outside: Vec<_> = dots.iter().filter(|dot| far(dot).abs() > USUAL.log10()).collect();
    outside.sort_by(|a, b| far(b).abs().total_cmp(&far(a).abs()).then_with(|| a.name.cmp(b.name)));
    let mut svg = format!("<svg class=\"scatter\" viewBox=\"0 0 {width} {height}\" aria-hidden=\"true\">");
    grid(&mut svg, &x, &y);
    band(&mut svg, &x, &y, usual);
    for dot in &dots {
        let is_far = far(dot).abs() > USUAL.log10();
        let class = if is_far { "far" } else { "dot" };
        let (cx, cy) = (x.at(dot.x.log10()), y.at(dot.y.log10()));
        let _ = write!(
            svg,
            "<circle class=\"{class}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{}\"><title>{}</title></circle>",
            if is_far { 4 } else { 3 },
            escaped(&one_line(dot.name))
        );
    }
    names(&mut svg, &outside, (&x, &y), y_word);
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><text x=\"{}\" y=\"{EDGE}\" dy=\"10\">{}</text></svg>",
        width - EDGE,
        height - 4.0,
        escaped(x_word),
        LEFT + 6.0,
        escaped(y_word)
    );
    format!(
        "<figure class=\"scatter\">{svg}<figcaption>{}</figcaption></figure>\n",
        caption(all, &dots, &outside, (usual, x_word, y_word, noun))
    )
}

/// Writes the names of the farthest dots beside them, at a side where no other name stands; if there is none, the caption alone has
/// the name.
fn names(svg: &mut String, outside: &[&Dot], (x, y): (&Axis, &Axis), y_word: &str) {
    // The word of the axis stands in its corner.
    let mut taken = vec![(LEFT, LEFT + 12.0 + y_word.chars().count() as f64 * LETTER, EDGE + 10.0)];
    for dot in outside.iter().take(NAMED) {
        let (cx, cy) = (x.at(dot.x.log10()), y.at(dot.y.log10()));
        let name = one_line(dot.name);
        let wide = name.chars().count() as f64 * LETTER;
        let sides = [(cx + 8.0, cy + 4.0), (cx - 8.0 - wide, cy + 4.0), (cx + 4.0, cy - 7.0), (cx + 4.0, cy + 15.0)];
        let is_free = |(left, base): &&(f64, f64)| {
            let fits = *left >= LEFT && left + wide <= SIZE.0 && *base >= EDGE + 8.0 && *base <= SIZE.1 - BELOW;
            let is_apart =
                |(from, to, at): &(f64, f64, f64)| left + wide < *from || *left > *to || (base - at).abs() > 11.0;
            fits && taken.iter().all(is_apart)
        };
        let Some((left, base)) = sides.iter().find(is_free).copied() else { continue };
        taken.push((left, left + wide, base));
        let _ = write!(svg, "<text class=\"who\" x=\"{left:.1}\" y=\"{base:.1}\">{}</text>", escaped(&name));
    }
}

/// Draws the lines and numbers of both axes.
fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    let (width, height) = SIZE;
    for power in x.powers() {
        let at = x.at(power);
        let anchor = if power < x.high { "middle" } else { "end" };
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {EDGE}V{:.1}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            height - BELOW,
            height - BELOW + 14.0,
            large(10_f64.powf(power))
        );
    }
    for power in y.powers() {
        let at = y.at(power);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            width - EDGE,
            LEFT - 6.0,
            at + 4.0,
            large(10_f64.powf(power))
        );
    }
}

/// Draws what is usual: the median, and a band around it.
fn band(svg: &mut String, x: &Axis, y: &Axis, usual: f64) {
    let (width, height) = SIZE;
    // The band lies within the field: an inner picture cuts it off.
    let (inner_width, inner_height) = (width - EDGE - LEFT, height - BELOW - EDGE);
    let edge = |power: f64, factor: f64| y.at(power + (usual * factor).log10()) - EDGE;
    let (low, high) = (x.low, x.high);
    let _ = write!(
        svg,
        "<svg x=\"{LEFT}\" y=\"{EDGE}\" width=\"{inner_width}\" height=\"{inner_height}\"><path class=\"usual\" d=\"M0 {:.1}L{inner_width} \
         {:.1}V{:.1}L0 {:.1}z\"/><path class=\"median\" d=\"M0 {:.1}L{inner_width} {:.1}\"/></svg>",
        edge(low, USUAL),
        edge(high, USUAL),
        edge(high, 1.0 / USUAL),
        edge(low, 1.0 / USUAL),
        edge(low, 1.0),
        edge(high, 1.0),
    );
}

/// Returns the picture in words.
fn caption(
    all: &[Dot],
    dots: &[Dot],
    outside: &[&Dot],
    (usual, x_word, y_word, noun): (f64, &str, &str, &str),
) -> String {
    let many = outside.iter().filter(|dot| dot.y / dot.x > usual).collect::<Vec<_>>();
    let few = outside.iter().filter(|dot| dot.y / dot.x < usual).collect::<Vec<_>>();
    let names = |some: &[&&&Dot]| {
        let first: Vec<_> = some.iter().take(NAMED).map(|dot| escaped(&one_line(dot.name))).collect();
        let more = some.len().saturating_sub(NAMED);
        first.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    };
    let mut words = format!(
        "{}: {} against {}. Usual is 1 for {} ({USUAL} times more or less is grey).",
        count(dots.len(), noun),
        escaped(y_word),
        escaped(x_word),
        large((1.0 / usual).round())
    );
    if !many.is_empty() {
        let _ = write!(words, " More: {}.", names(&many.iter().collect::<Vec<_>>()));
    }
    if !few.is_empty() {
        let _ = write!(words, " Fewer: {}.", names(&few.iter().collect::<Vec<_>>()));
    }
    let without = all.len() - dots.len();
    if without > 0 {
        let _ = write!(words, " {} without one of the numbers.", count(without, noun));
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORDS: (&str, &str, &str) = ("files", "jobs", "datadisk");

    #[test]
    fn no_name_stands_on_another() {
        let mut dots: Vec<_> =
            (1..=40).map(|at| Dot { name: "usual", x: f64::from(at) * 1000.0, y: f64::from(at) }).collect();
        let names: Vec<_> = (0..10).map(|at| format!("DATADISK_{at}")).collect();
        dots.extend(names.iter().enumerate().map(|(at, name)| Dot { name, x: 5000.0 + at as f64, y: 500.0 }));
        let html = html(&dots, WORDS);
        let attribute = |text: &str, name: &str| {
            text.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap().parse::<f64>().unwrap()
        };
        let places: Vec<_> = html
            .split("<text class=\"who\"")
            .skip(1)
            .map(|text| (attribute(text, "x"), attribute(text, "y")))
            .collect();
        assert!((2..10).contains(&places.len()), "{places:?}");
        for (at, (x, y)) in places.iter().enumerate() {
            let is_apart = |(left, base): &(f64, f64)| (left - x).abs() > 10.0 * LETTER || (base - y).abs() > 11.0;
            assert!(places[..at].iter().all(is_apart), "{places:?}");
        }
        assert!(names.iter().all(|name| html.contains(name)), "the caption has them all");
    }

    #[test]
    fn what_is_far_from_usual_is_ringed_and_named() {
        let mut dots: Vec<_> =
            (1..=9).map(|at| Dot { name: "usual", x: f64::from(at) * 1000.0, y: f64::from(at) }).collect();
        dots.push(Dot { name: "<crowded>", x: 1000.0, y: 50.0 });
        dots.push(Dot { name: "idle", x: 90_000.0, y: 2.0 });
        dots.push(Dot { name: "empty", x: 0.0, y: 2.0 });
        let html = html(&dots, WORDS);
        assert_eq!((html.matches("class=\"far\"").count(), html.matches("class=\"dot\"").count()), (2, 9));
        assert!(html.contains("11 datadisks: jobs against files. Usual is 1 for 1.0 k"), "{html}");
        assert!(html.contains("More: &lt;crowded&gt;. Fewer: idle. 1 datadisk without"), "{html}");
        assert!(!html.contains("<crowded>"));
        assert_eq!(super::html(&dots[..2], WORDS), "");
    }

    proptest! {
        #[test]
        fn any_numbers_are_drawn(numbers in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20)) {
            let dots: Vec<_> = numbers.into_iter().map(|(x, y)| Dot { name: "a", x, y }).collect();
            let html = html(&dots, WORDS);
            prop_assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
        }
    }
}
