//! The sockets of a machine by state. Those of TCP are asked of the kernel (inet_diag), which walks through its table once for both
//! families and prints nothing; that table has a few hundred thousand places on a machine without a socket.
//!
//! UDP's, and TCP's where the kernel does not answer, stand in /proc/net/tcp, tcp6, udp and udp6: a line for each socket, counted
//! while they are read, since a busy server has a hundred thousand.
//!
//! ```text
//!   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//!    0: 0100007F:1ED0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 123 1 …
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};

use anyhow::{Context, Result};
use rustix::net::netlink::SOCK_DIAG;

use super::Root;
use super::netlink::list;

/// The states of a TCP socket, by the number in the file less 1.
pub const STATES: [&str; 11] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];

/// The sockets, and how they are counted.
#[derive(Debug)]
pub struct Sockets {
    root: Root,
    /// Whether the kernel is asked; not once it has refused, since each question may load a module.
    asks: bool,
}

/// How many sockets there are in each of [`STATES`].
pub type Counts = [i64; STATES.len()];

impl Sockets {
    /// Returns the sockets of a machine.
    pub fn new(root: &Root) -> Self {
        Self { root: root.clone(), asks: root.is_here() }
    }

    /// Counts the sockets of these protocols; those that the kernel does not have are left out.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub fn count<'a>(&mut self, protocols: &[&'a str]) -> Result<Vec<(&'a str, Counts)>> {
        let is_asked = self.asks && protocols.iter().any(|one| one.starts_with("tcp"));
        let told = if is_asked { tcp().ok() } else { None };
        self.asks &= told.is_some() || !is_asked;
        let mut all = Vec::new();
        for protocol in protocols {
            let has = || self.root.path(&format!("proc/net/{protocol}")).exists();
            let counts = match (*protocol, &told) {
                ("tcp", Some([four, _])) => Some(*four),
                ("tcp6", Some([_, six])) => has().then_some(*six),
                _ => count(&self.root, protocol)?,
            };
            all.extend(counts.map(|counts| (*protocol, counts)));
        }
        Ok(all)
    }
}

/// Asks the kernel for the TCP sockets by state, of IPv4 and of IPv6.
fn tcp() -> Result<[Counts; 2]> {
    /// TCPDIAG_GETSOCK: the older question, and the only one for both families.
    const ASKED: u16 = 18;
    /// The states 1 to 11, and sockets that are about to be, which the kernel tells as SYN_RECV.
    const WANTED: u32 = 0x1ffe;
    // inet_diag_req: family, lengths of addresses, more, whose (48 bytes), states, no data.
    let mut question = [0; 60];
    question[52..56].copy_from_slice(&WANTED.to_ne_bytes());
    let mut counts = [[0; STATES.len()]; 2];
    list(Some(SOCK_DIAG), ASKED, &question, |kind, message| {
        if kind == ASKED {
            count_message(message, &mut counts);
        }
    })?;
    Ok(counts)
}

/// Counts the socket of a message, which begins with family and state.
pub fn count_message(message: &[u8], counts: &mut [Counts; 2]) {
    let [family @ (2 | 10), state, ..] = message else { return };
    let state = usize::from(*state).wrapping_sub(1);
    if let Some(count) = counts[usize::from(*family == 10)].get_mut(state) {
        *count += 1;
    }
}

/// The longest line that is read, in bytes.
const LONGEST: usize = 4096;

/// Counts the sockets of a file by state; `None` if the kernel has no such protocol.
///
/// # Errors
/// Fails if the file cannot be read.
fn count(root: &Root, protocol: &str) -> Result<Option<Counts>> {
    let path = root.path(&format!("proc/net/{protocol}"));
    match File::open(&path) {
        Ok(file) => {
            count_lines(BufReader::with_capacity(64 << 10, file)).map(Some).with_context(|| path.display().to_string())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Counts the sockets of a text by state.
///
/// # Errors
/// Fails if it cannot be read.
pub fn count_lines(mut text: impl BufRead) -> Result<[i64; STATES.len()]> {
    let mut counts = [0; STATES.len()];
    let mut line = Vec::with_capacity(256);
    loop {
        line.clear();
        let read = (&mut text).take(LONGEST as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(counts);
        }
        if let Some(state) = state(&line) {
            counts[state] += 1;
        }
    }
}

/// Returns the index of a line's state.
fn state(line: &[u8]) -> Option<usize> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    // The head has no colon behind its first word.
    words.next()?.strip_suffix(b":")?;
    let word = std::str::from_utf8(words.nth(2)?).ok()?;
    let number = usize::from_str_radix(word, 16).ok()?;
    (1..=STATES.len()).contains(&number).then(|| number - 1)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_tells_the_same_sockets_as_its_files() {
        let six = TcpListener::bind("[::1]:0");
        let listeners: Vec<_> = (0..7).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let client = TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        let accepted = listeners[0].accept().unwrap();
        let told = tcp().unwrap();
        let file = count(&Root::default(), "tcp").unwrap().unwrap();
        // Other tests open and close sockets meanwhile.
        for state in [0, 9] {
            let apart = (told[0][state] - file[state]).abs();
            assert!(told[0][state] >= [2, 7][usize::from(state == 9)] && apart < 60, "{told:?} {file:?}");
        }
        assert!(six.is_err() || told[1][9] >= 1, "{told:?}");
        drop((client, accepted));
    }

    #[test]
    fn a_message_is_counted_by_family_and_state() {
        let mut counts = [[0; STATES.len()]; 2];
        for message in [&[2, 1, 9][..], &[10, 11], &[2, 12], &[2, 0], &[7, 1], &[2], &[]] {
            count_message(message, &mut counts);
        }
        assert_eq!((counts[0][0], counts[1][10]), (1, 1));
        assert_eq!(counts.map(|counts| counts.iter().sum::<i64>()), [1, 1]);
    }

    #[test]
    fn another_machines_sockets_are_those_of_its_files() {
        let folder = gridmon_testkit::TempDir::new();
        std::fs::create_dir_all(folder.path().join("proc/net")).unwrap();
        folder.write("proc/net/tcp", "  sl\n   0: a b 0A c\n");
        let mut sockets = Sockets::new(&Root::at(folder.path()));
        let counted = sockets.count(&["tcp", "tcp6", "udp"]).unwrap();
        assert_eq!(counted.iter().map(|(name, counts)| (*name, counts[9])).collect::<Vec<_>>(), [("tcp", 1)]);
    }

    #[test]
    fn sockets_are_counted_by_state_and_heads_and_odd_lines_are_not() {
        let text = "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:1ED0 00000000:0000 0A 0:0\n\
                    1: a b 01 c\n2: a b 01\n3: a b 0C x\n4: a b\n5: a b 00 x\n6: a b zz x\n";
        let counts = count_lines(text.as_bytes()).unwrap();
        assert_eq!((counts[0], counts[9], counts.iter().sum::<i64>()), (2, 1, 3));
        assert_eq!(count_lines(" ".repeat(100_000).as_bytes()).unwrap(), [0; 11]);
    }
}
