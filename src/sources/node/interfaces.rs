//! Network interfaces: /proc/net/dev for what they carried, /sys/class/net for what they are.
//!
//! ```text
//! Inter-|   Receive                                                |  Transmit
//!  face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
//!   eth0: 8590      66    0    0    0     0          0         0     8514      64    0    0    0     0       0          0
//! ```

use std::collections::HashMap;

use super::Root;

/// The counters of an interface, in the order of QULo's fields: bytes sent, received, packets sent, received, errors
/// received, sent, drops received, sent.
pub type Counters = [u64; 8];

/// Parses /proc/net/dev; leaves out its heads. An interface whose line is not of numbers, or has too few, has no counters.
pub fn parse(text: &str) -> impl Iterator<Item = (&str, Option<Counters>)> {
    // The name of an alias holds a colon too.
    text.lines().filter_map(|line| line.rsplit_once(':')).map(|(name, rest)| (name.trim(), counters(rest)))
}

fn counters(text: &str) -> Option<Counters> {
    let mut columns = [0_u64; 12];
    let mut words = text.split_ascii_whitespace();
    for column in &mut columns {
        *column = words.next()?.parse().ok()?;
    }
    let [received, packets, errors, drops, _, _, _, _, sent, packets_sent, errors_sent, drops_sent] = columns;
    Some([sent, received, packets_sent, packets, errors, errors_sent, drops, drops_sent])
}

/// What an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// It is a device.
    Physical,
    /// It lies on no other, and is no device: an interface of a container, a tunnel.
    Virtual,
    /// It lies on others, which carry the same: a bridge, a bond, a VLAN.
    Stacked,
}

/// What the interfaces are, as /sys/class/net told.
#[derive(Debug, Default)]
pub struct Interfaces {
    kinds: HashMap<String, Interface>,
}

impl Interfaces {
    /// Returns what an interface is.
    pub fn kind(&self, name: &str) -> Interface {
        self.kinds.get(name).copied().unwrap_or(Interface::Virtual)
    }

    /// Looks again if other interfaces are there than before.
    pub fn look<'a>(&mut self, root: &Root, names: impl Iterator<Item = &'a str> + Clone) {
        let mut count = 0;
        let is_known = names.clone().all(|name| {
            count += 1;
            self.kinds.contains_key(name)
        });
        if !is_known || count != self.kinds.len() {
            self.kinds = names.map(|name| (name.to_string(), kind(root, name))).collect();
        }
    }
}

fn kind(root: &Root, name: &str) -> Interface {
    if !is_plain(name) {
        return Interface::Virtual;
    }
    let folder = format!("sys/class/net/{name}");
    let has = |file: &str| root.path(&format!("{folder}/{file}")).exists();
    let is_lower = |entry: &String| entry.starts_with("lower_");
    if has("bridge") || has("bonding") || root.names(&folder).iter().any(is_lower) {
        Interface::Stacked
    } else if has("device") {
        Interface::Physical
    } else {
        Interface::Virtual
    }
}

/// Whether a name can be one of /sys/class/net.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains('/')
}

/// The state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether it works: it is switched on, and its other end answers or is not known.
    pub is_up: bool,
    /// 1 half, 2 full, 0 not known.
    pub duplex: i64,
    /// In Mbit/s; 0 if it is not known.
    pub speed: i64,
    /// The longest packet, in bytes.
    pub mtu: Option<i64>,
}

/// Reads the state of an interface; `None` if it is gone.
pub fn link(root: &Root, name: &str) -> Option<Link> {
    /// IFF_UP.
    const UP: u64 = 1;
    if !is_plain(name) {
        return None;
    }
    let word = |file: &str| root.word(&format!("sys/class/net/{name}/{file}"));
    let flags = word("flags")?;
    let flags = u64::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
    // The kernel's IFF_RUNNING, which the file of the flags leaves out.
    let is_running = word("operstate").is_none_or(|state| matches!(state.as_str(), "up" | "unknown"));
    Some(Link {
        is_up: flags & UP != 0 && is_running,
        duplex: match word("duplex").as_deref() {
            Some("half") => 1,
            Some("full") => 2,
            _ => 0,
        },
        // -1, 4294967295 or an error while it is down.
        speed: word("speed")
            .and_then(|speed| speed.parse().ok())
            .filter(|speed| (0..=100_000_000).contains(speed))
            .unwrap_or(0),
        mtu: word("mtu").and_then(|mtu| mtu.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_told_by_the_last_colon_and_heads_are_left_out() {
        let text = "Inter-|   Receive |  Transmit\n face |bytes packets|bytes\n  lo:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                    eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12\n eth1: 1 2 3\n eth2: a 2 3 4 5 6 7 8 9 10 11 12\n";
        let counters = Some([9, 1, 10, 2, 3, 11, 4, 12]);
        let all = [("lo", counters), ("eth0:1", counters), ("eth1", None), ("eth2", None)];
        assert_eq!(parse(text).collect::<Vec<_>>(), all);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for name in ["", ".", "..", "../../x"] {
            assert_eq!((link(&Root::default(), name), is_plain(name)), (None, false));
        }
    }
}
