//! /proc/net/tcp, tcp6, udp and udp6: a line for each socket, counted while they are read, since a busy server has a hundred
//! thousand.
//!
//! ```text
//!   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//!    0: 0100007F:1ED0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 123 1 …
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};

use anyhow::{Context, Result};

use super::Root;

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

/// The longest line that is read, in bytes.
const LONGEST: usize = 4096;

/// Counts the sockets of a file by state; `None` if the kernel has no such protocol.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn count(root: &Root, protocol: &str) -> Result<Option<[i64; STATES.len()]>> {
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
    use super::*;

    #[test]
    fn sockets_are_counted_by_state_and_heads_and_odd_lines_are_not() {
        let text = "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:1ED0 00000000:0000 0A 0:0\n\
                    1: a b 01 c\n2: a b 01\n3: a b 0C x\n4: a b\n5: a b 00 x\n6: a b zz x\n";
        let counts = count_lines(text.as_bytes()).unwrap();
        assert_eq!((counts[0], counts[9], counts.iter().sum::<i64>()), (2, 1, 3));
        assert_eq!(count_lines(" ".repeat(100_000).as_bytes()).unwrap(), [0; 11]);
    }
}
