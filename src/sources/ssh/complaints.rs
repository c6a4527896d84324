//! What find could not read, from all that a node prints on standard error, however much that is.

/// The first line of each kind: `find: './a': Permission denied` is of the kind `Permission denied`.
#[derive(Debug, Default)]
pub struct Complaints {
    /// A line that has not ended yet.
    rest: Vec<u8>,
    /// The lines, each with its kind.
    lines: Vec<(String, String)>,
}

/// The longest line, in bytes: no path is longer than 4096. What stands behind is passed over.
const LONGEST: usize = 8192;

/// The most kinds: there are not so many errors.
const KINDS: usize = 20;

impl Complaints {
    /// Reads the next piece.
    pub fn read(&mut self, piece: &[u8]) {
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = LONGEST.saturating_sub(self.rest.len());
            // The kind stands at the end of a line.
            if part.len() > room {
                self.rest.clear();
            }
            self.rest.extend_from_slice(&part[part.len().saturating_sub(LONGEST)..]);
            if parts.peek().is_some() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.rest).trim().to_string();
        self.rest.clear();
        // BusyBox's find starts stat, and its code says that this failed.
        if (line.starts_with("find: ") || line.starts_with("stat: ")) && self.lines.len() < KINDS {
            let kind = line.rsplit(": ").next().unwrap_or_default().split(';').next().unwrap_or_default();
            if !self.lines.iter().any(|(known, _)| known == kind) {
                self.lines.push((kind.into(), line));
            }
        }
    }

    /// Returns the lines.
    pub fn text(mut self) -> String {
        self.end_line();
        self.lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_among_thousands_of_another_kind_is_kept() {
        let denied = |at: usize| format!("find: './closed{at}': Permission denied\n");
        let mut all: String = "Welcome\n".into();
        (0..5000).for_each(|at| all += &denied(at));
        all += "find: './a': Input/output error\n";
        (5000..10_000).for_each(|at| all += &denied(at));
        all += "find: File system loop detected; './x' is part of './y'\nfind: './b': Stale file handle";
        for size in [1, 7, 4096, 65_536] {
            let mut complaints = Complaints::default();
            all.as_bytes().chunks(size).for_each(|piece| complaints.read(piece));
            assert_eq!(
                complaints.text().lines().collect::<Vec<_>>(),
                [
                    "find: './closed0': Permission denied",
                    "find: './a': Input/output error",
                    "find: File system loop detected; './x' is part of './y'",
                    "find: './b': Stale file handle",
                ],
                "{size}"
            );
        }
    }

    #[test]
    fn a_flood_without_an_end_of_line_is_not_held() {
        let mut complaints = Complaints::default();
        for _ in 0..1000 {
            complaints.read(&[b'x'; 4096]);
            assert!(complaints.rest.len() <= 2 * LONGEST);
        }
        complaints.read(b"\nfind: './a': Input/output error\n");
        (0..100).for_each(|at| complaints.read(format!("find: './b': error {at}\n").as_bytes()));
        assert_eq!(complaints.text().lines().count(), KINDS);
    }
}
