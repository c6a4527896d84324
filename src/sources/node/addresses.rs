//! The addresses of network interfaces, from the kernel's rtnetlink (RTM_GETADDR): the one place where all of them stand
//! with their interfaces. /proc/net/if_inet6 has those of IPv6 alone; it answers where a recorded tree is read.
//!
//! A message of type 20 has family (1), bits of the network (1), flags (1), scope (1), index of the interface (4), and attributes.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use super::Root;
use super::netlink::{four, list};

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
    /// RTM_GETADDR, for any family.
    const ASKED: u16 = 22;
    let mut all = Vec::new();
    list(None, ASKED, &[0; 8], |kind, message| all.extend(address(kind, message)))?;
    Ok(all)
}

/// Returns the index and the family of an address; `None` if a message is none.
pub fn address(kind: u16, message: &[u8]) -> Option<(u32, u8)> {
    const ADDRESS: u16 = 20;
    (kind == ADDRESS).then_some(())?;
    Some((four(message, 4)?, *message.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_an_index_and_a_family() {
        let body = [10, 24, 0, 0, 7, 0, 0, 0, 8, 0, 1, 0];
        assert_eq!(address(20, &body), Some((u32::from_ne_bytes([7, 0, 0, 0]), 10)));
        assert_eq!((address(16, &body), address(20, &body[..7]), address(20, &[])), (None, None, None));
    }

    #[test]
    fn this_machine_tells_its_own() {
        let all = ask().unwrap();
        assert!(all.iter().all(|(index, _)| *index > 0), "{all:?}");
    }
}
