//! Who is logged in: /run/utmp, or where there is none the sessions of systemd in /run/systemd/sessions.
//!
//! utmp is a row of records of 384 bytes (400 on some machines of 64 bits): the type at 0 (7: a user's process), the name at 44,
//! 32 bytes.

use super::Root;
use crate::os::files;

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

/// The classes of sessions that are people's; since 256 root's has one of its own.
const CLASSES: [&str; 3] = ["user", "user-early", "user-light"];

/// Reads who is logged in; nobody on a machine that does not keep it.
pub fn read(root: &Root) -> Users {
    if let Ok(bytes) = files::read(&root.path("run/utmp"), MOST) {
        return parse(&bytes);
    }
    let mut names: Vec<String> = Vec::new();
    // Up to 257 systemd keeps a pipe ID.ref beside the file of a session.
    for session in root.names("run/systemd/sessions").iter().filter(|name| !name.ends_with(".ref")) {
        let bytes = files::read(&root.path(&format!("run/systemd/sessions/{session}")), MOST).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        if value("CLASS").is_some_and(|class| CLASSES.contains(&class)) {
            names.extend(value("UID").map(String::from));
        }
    }
    count(names)
}

/// Parses utmp.
pub fn parse(bytes: &[u8]) -> Users {
    /// USER_PROCESS.
    const USER: u16 = 7;
    let name = |record: &[u8]| {
        let kind = u16::from_ne_bytes(record.get(..2)?.try_into().ok()?);
        let name = record.get(44..76)?.split(|byte| *byte == 0).next()?;
        (kind == USER && !name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    };
    let of_size = |size| count(bytes.chunks_exact(size).filter_map(name).collect());
    // A whole number of both, 9,600 bytes, is of those in which more people are found.
    let sizes = [384, 400].into_iter().filter(|size| bytes.len().is_multiple_of(*size));
    sizes.map(of_size).reduce(|one, other| if other.sessions > one.sessions { other } else { one }).unwrap_or_default()
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
        for (size, records) in [(384, 25), (400, 24)] {
            let bytes = record(7, "ada", size).repeat(records);
            assert_eq!(parse(&bytes), Users { sessions: records as i64, users: 1 }, "of {size} bytes");
        }
        assert_eq!(parse(b""), Users::default());
        assert_eq!(parse(&[7; 100]), Users::default());
    }

    #[test]
    fn sessions_of_systemd_are_read_and_pipes_beside_them_are_not_waited_for() {
        let folder = gridmon_testkit::TempDir::new();
        std::fs::create_dir_all(folder.path().join("run/systemd/sessions")).unwrap();
        let write = |name: &str, text: &str| folder.write(&format!("run/systemd/sessions/{name}"), text);
        write("1", "UID=1000\nUSER=ada\nCLASS=user\n");
        write("2", "UID=0\nCLASS=user-early\n");
        write("3", "UID=1000\nCLASS=manager\n");
        write("c1", "UID=42\nCLASS=greeter\n");
        // What systemd up to 257 keeps, and what any other program might leave.
        for name in ["1.ref", "4"] {
            let path = folder.path().join("run/systemd/sessions").join(name);
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.unwrap().success());
        }
        let (told, answer) = std::sync::mpsc::channel();
        let root = Root::at(folder.path());
        std::thread::spawn(move || told.send(read(&root)));
        let limit = std::time::Duration::from_secs(30);
        assert_eq!(answer.recv_timeout(limit), Ok(Users { sessions: 2, users: 2 }), "it waits for a pipe");
    }
}
