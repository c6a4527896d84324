//! Questions to the kernel that it answers with a list (netlink), without unsafe code.
//!
//! An answer is a row of messages: length (4 bytes), type (2), flags (2), sequence (4), port (4), then what the type says, padded to 4
//! bytes. Type 3 of the messages is the end, 2 an error; both have its number first, 0 for none.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// How long the kernel may take for a list.
const LIMIT: Duration = Duration::from_secs(5);

/// The most that it puts into an answer at once.
const ROOM: usize = 32 << 10;

/// The length of a message's head.
const HEAD: usize = 16;

/// Asks for a list, and tells `each` the type and the content of its messages. No protocol is that of routes and addresses.
///
/// # Errors
/// Fails if the kernel refuses or does not answer.
pub fn list(protocol: Option<Protocol>, kind: u16, body: &[u8], mut each: impl FnMut(u16, &[u8])) -> Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol);
    let socket = socket.context("netlink")?;
    set_socket_timeout(&socket, Timeout::Recv, Some(LIMIT)).context("netlink")?;
    sendto(&socket, &question(kind, body), SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).context("netlink")?;
    let (began, mut bytes) = (Instant::now(), vec![0; ROOM]);
    while began.elapsed() < LIMIT {
        let (length, _) = recv(&socket, &mut bytes[..], RecvFlags::empty()).context("netlink")?;
        if parse(&bytes[..length.min(ROOM)], &mut each)? {
            return Ok(());
        }
    }
    bail!("netlink: the kernel's list has no end")
}

fn question(kind: u16, body: &[u8]) -> Vec<u8> {
    /// NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH.
    const LIST: u16 = 0x301;
    let length = (HEAD + body.len()) as u32;
    [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &LIST.to_ne_bytes(), &[0; 8], body].concat()
}

/// Reads one answer. Returns whether it is the last one.
///
/// # Errors
/// Fails if the kernel tells of an error.
pub fn parse(bytes: &[u8], each: &mut impl FnMut(u16, &[u8])) -> Result<bool> {
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    let mut rest = bytes;
    while let (Some(length), Some(kind)) = (four(rest, 0), two(rest, 4)) {
        let length = length as usize;
        if length < HEAD || length > rest.len() {
            break;
        }
        let message = &rest[HEAD..length];
        match kind {
            DONE | ERROR => {
                let number = four(message, 0).unwrap_or_default().cast_signed();
                ensure!(number == 0, "netlink: {}", std::io::Error::from_raw_os_error(number.saturating_neg()));
                if kind == DONE {
                    return Ok(true);
                }
            }
            kind => each(kind, message),
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// Returns a number of four bytes.
pub fn four(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn two(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A message of an answer.
    pub(crate) fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn an_answer_is_read_to_its_end_and_a_torn_one_as_far_as_it_goes() {
        let of = |bytes: &[u8]| {
            let mut all = Vec::new();
            let end = parse(bytes, &mut |kind, body: &[u8]| all.push((kind, body.len())));
            (end.map_err(|error| error.to_string()), all)
        };
        let bytes = [message(20, &[1; 5]), message(16, &[1]), message(20, &[])].concat();
        let all = [(20, 5), (16, 1), (20, 0)];
        assert_eq!(of(&bytes), (Ok(false), all.to_vec()));
        assert_eq!(of(&message(3, &[0; 4])), (Ok(true), Vec::new()));
        for kind in [2, 3] {
            let refused = of(&message(kind, &(-13_i32).to_ne_bytes())).0.unwrap_err();
            assert!(refused.starts_with("netlink: Permission denied"), "{refused}");
        }
        for end in 0..bytes.len() {
            let (is_last, some) = of(&bytes[..end]);
            assert!(is_last == Ok(false) && all.starts_with(&some), "{end}: {some:?}");
        }
        for lie in [0_u32, 3, 15, u32::MAX] {
            let mut bytes = message(20, &[1; 8]);
            bytes[..4].copy_from_slice(&lie.to_ne_bytes());
            assert_eq!(of(&bytes), (Ok(false), Vec::new()), "{lie}");
        }
    }
}
