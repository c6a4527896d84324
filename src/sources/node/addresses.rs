//! The addresses of network interfaces, from the kernel's rtnetlink (RTM_GETADDR): the one place where all of them stand
//! with their interfaces. /proc/net/if_inet6 has those of IPv6 alone; it answers where a recorded tree is read.
//!
//! An answer is a row of messages: length (4 bytes), type (2), flags (2), sequence (4), port (4); one of type 20 then has
//! family (1), bits of the network (1), flags (1), scope (1), index of the interface (4), and attributes: length (2), type
//! (2), value, each padded to 4 bytes. Type 3 of the messages is the end, 2 an error.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use super::Root;

/// How many addresses an interface has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Of IPv4.
    pub inet: i64,
    /// Of IPv6.
    pub inet6: i64,
}

const INET: u8 = 2;
const INET6: u8 = 10;

/// Returns how many addresses each interface has; 0 for those that have none.
///
/// # Errors
/// Fails if the kernel does not answer.
pub fn read(root: &Root, names: &[String]) -> Result<BTreeMap<String, Addresses>> {
    let mut all: BTreeMap<String, Addresses> = names.iter().map(|name| (name.clone(), Addresses::default())).collect();
    let count = |addresses: &mut Addresses, family: u8| match family {
        INET => addresses.inet += 1,
        INET6 => addresses.inet6 += 1,
        _ => {}
    };
    if root.is_here() {
        let mut by_index: HashMap<u32, &String> = HashMap::new();
        for name in names {
            let index = root.word(&format!("sys/class/net/{name}/ifindex")).and_then(|index| index.parse().ok());
            by_index.extend(index.map(|index| (index, name)));
        }
        for (index, family) in ask()? {
            // One that came since is counted at the next tick.
            if let Some(addresses) = by_index.get(&index).and_then(|name| all.get_mut(*name)) {
                count(addresses, family);
            }
        }
    } else if let Ok(text) = root.text("proc/net/if_inet6") {
        for name in text.lines().filter_map(|line| line.split_ascii_whitespace().nth(5)) {
            if let Some(addresses) = all.get_mut(name) {
                count(addresses, INET6);
            }
        }
    }
    Ok(all)
}

/// Asks the kernel for all addresses: the index of the interface and the family of each.
fn ask() -> Result<Vec<(u32, u8)>> {
    /// RTM_GETADDR with NLM_F_REQUEST and NLM_F_DUMP, for any family.
    const QUESTION: [u8; 24] = question();
    // Protocol 0 is that of routes and addresses.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None);
    let socket = socket.context("rtnetlink")?;
    sendto(&socket, &QUESTION, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).context("rtnetlink")?;
    let mut all = Vec::new();
    let mut bytes = vec![0; 32 << 10];
    // The kernel answers at once. A machine with more addresses than this does not exist.
    for _ in 0..10_000 {
        let (length, _) = recv(&socket, &mut bytes[..], RecvFlags::empty()).context("rtnetlink")?;
        if parse(&bytes[..length], &mut all)? {
            return Ok(all);
        }
    }
    anyhow::bail!("rtnetlink: the list of addresses has no end")
}

const fn question() -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[0] = 24;
    bytes[4] = 22;
    // NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH, in the machine's order of bytes.
    let flags = 0x301_u16.to_ne_bytes();
    (bytes[6], bytes[7]) = (flags[0], flags[1]);
    if cfg!(target_endian = "big") {
        (bytes[0], bytes[3], bytes[4], bytes[5]) = (0, 24, 0, 22);
    }
    bytes
}

/// Reads the addresses of one answer. Returns whether it is the last one.
///
/// # Errors
/// Fails if the kernel tells of an error.
pub fn parse(bytes: &[u8], all: &mut Vec<(u32, u8)>) -> Result<bool> {
    // The types of messages.
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    const ADDRESS: u16 = 20;
    let mut rest = bytes;
    while let (Some(length), Some(kind)) = (four(rest, 0), two(rest, 4)) {
        let length = length as usize;
        if length < 16 || length > rest.len() {
            break;
        }
        let message = &rest[16..length];
        match kind {
            DONE => return Ok(true),
            ERROR => ensure!(four(message, 0) == Some(0), "rtnetlink refused to list the addresses"),
            ADDRESS => {
                if let (Some(family), Some(index)) = (message.first(), four(message, 4)) {
                    all.push((index, *family));
                }
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn four(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn two(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn an_answer_is_read_to_its_end_and_a_torn_one_as_far_as_it_goes() {
        let address = |family: u8, index: u32| {
            let mut body = vec![family, 24, 0, 0];
            body.extend(index.to_ne_bytes());
            body.extend([8, 0, 1, 0, 10, 0, 0, 1, 5, 0, 3, 0, b'x']);
            message(20, &body)
        };
        let bytes = [address(2, 7), address(10, 7), message(16, &[1]), address(2, 1)].concat();
        let mut all = Vec::new();
        assert!(!parse(&bytes, &mut all).unwrap());
        assert_eq!(all, [(7, 2), (7, 10), (1, 2)]);
        assert!(parse(&message(3, &[0; 4]), &mut all).unwrap());
        parse(&message(2, &(-1_i32).to_ne_bytes()), &mut all).unwrap_err();
        for end in 0..bytes.len() {
            all.clear();
            assert!(!parse(&bytes[..end], &mut all).unwrap());
        }
        assert!(!parse(&[0; 64], &mut all).unwrap(), "a length of 0 does not hold it up");
    }

    #[test]
    fn this_machine_tells_its_own() {
        let all = ask().unwrap();
        assert!(all.iter().all(|(index, _)| *index > 0), "{all:?}");
    }
}
