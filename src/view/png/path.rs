//! The paths of a scene, read: those of SVG, of the commands `M m L H h V v Z`.

/// A step along a path, to a place in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Begins anew there.
    Move(f32, f32),
    /// A line to there.
    Line(f32, f32),
    /// A line to where it began.
    Close,
}

/// Reads a length.
pub fn number(text: &str) -> f32 {
    text.parse().unwrap_or_default()
}

/// Reads a path.
pub fn steps(text: &str) -> impl Iterator<Item = Step> {
    let (mut rest, mut at) = (text, (0.0_f32, 0.0_f32));
    std::iter::from_fn(move || {
        let command = *rest.as_bytes().first()?;
        let body = rest.get(1..)?;
        let end = body.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(body.len());
        let mut numbers = body[..end].split(' ').map(number);
        rest = &body[end..];
        let mut next = || numbers.next().unwrap_or_default();
        at = match command {
            b'M' | b'L' => (next(), next()),
            b'm' => (at.0 + next(), at.1 + next()),
            b'H' => (next(), at.1),
            b'h' => (at.0 + next(), at.1),
            b'V' => (at.0, next()),
            b'v' => (at.0, at.1 + next()),
            _ => return Some(Step::Close),
        };
        Some(if matches!(command, b'M' | b'm') { Step::Move(at.0, at.1) } else { Step::Line(at.0, at.1) })
    })
}

#[cfg(test)]
mod tests {
    use super::Step::{Close, Line, Move};
    use super::*;

    #[test]
    fn a_path_is_read_step_by_step() {
        let read: Vec<_> = steps("M1 2H4V5.5h-1v1L0 0ZM7 8m-2 0h4").collect();
        let expected = [Move(1.0, 2.0), Line(4.0, 2.0), Line(4.0, 5.5), Line(3.0, 5.5), Line(3.0, 6.5), Line(0.0, 0.0)];
        assert_eq!(read[..6], expected);
        assert_eq!(read[6..], [Close, Move(7.0, 8.0), Move(5.0, 8.0), Line(9.0, 8.0)]);
        assert_eq!(steps("").count(), 0);
    }
}
