//! Who is logged in: /run/utmp, or where there is none the sessions of systemd in /run/systemd/sessions.
//!
//! utmp is a row of records of 384 bytes (400 on some machines of 64 bits): the type at 0 (7: a user's process), the name at 44,
//! 32 bytes.

use std::fs;

use super::Root;

/// The sessions, and how many people have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Sessions.
    pub sessions: i64,
    /// Names.
    pub users: i64,
}

/// The most that is read of a file, in bytes.
const MOST: u64 = 4 << 20;

/// Reads who is logged in; nobody on a machine that does not keep it.
pub fn read(root: &Root) -> Users {
    if let Ok(bytes) = crate::os::files::read(&root.path("run/utmp"), MOST) {
        return parse(&bytes);
    }
    let mut names: Vec<String> = Vec::new();
    for session in root.names("run/systemd/sessions") {
        let text = fs::read_to_string(root.path(&format!("run/systemd/sessions/{session}"))).unwrap_or_default();
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        if value("CLASS") == Some("user") {
            names.extend(value("UID").map(String::from));
        }
    }
    count(names)
}

/// Parses utmp.
pub fn parse(bytes: &[u8]) -> Users {
    /// USER_PROCESS.
    const USER: u16 = 7;
    let size = if bytes.len().is_multiple_of(384) { 384 } else { 400 };
    let name = |record: &[u8]| {
        let kind = u16::from_ne_bytes(record.get(..2)?.try_into().ok()?);
        let name = record.get(44..76)?.split(|byte| *byte == 0).next()?;
        (kind == USER && !name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    };
    count(bytes.chunks_exact(size).filter_map(name).collect())
}

fn count(mut names: Vec<String>) -> Users {
    let sessions = names.len() as i64;
    names.sort();
    names.dedup();
    Users { sessions, users: names.len() as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_users_are_counted_and_other_records_are_not() {
        let record = |kind: u16, name: &str, size: usize| {
            let mut bytes = vec![0; size];
            bytes[..2].copy_from_slice(&kind.to_ne_bytes());
            bytes[44..44 + name.len()].copy_from_slice(name.as_bytes());
            bytes
        };
        for size in [384, 400] {
            let bytes =
                [record(7, "ada", size), record(2, "reboot", size), record(7, "bob", size), record(7, "ada", size)];
            assert_eq!(parse(&bytes.concat()), Users { sessions: 3, users: 2 });
        }
        assert_eq!(parse(b""), Users::default());
        assert_eq!(parse(&[7; 100]), Users::default());
    }
}
