//! /sys/class/power_supply: the battery and the mains.
//!
//! ```text
//! BAT0/energy_now 30000000 (µWh)
//! BAT0/energy_full 50000000
//! BAT0/power_now 5000000 (µW)
//! BAT0/status Discharging
//! AC/online 0
//! ```

use super::Root;

/// The battery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Battery {
    /// How full it is, in percent.
    pub percent: f64,
    /// How long it lasts, in seconds, while it is what the machine runs on.
    pub seconds_left: Option<i64>,
    /// Whether the mains are there.
    pub is_plugged: Option<bool>,
}

/// Reads the first battery; `None` if there is none, or it does not tell how full it is.
pub fn read(root: &Root) -> Option<Battery> {
    const ALL: &str = "sys/class/power_supply";
    let mut names = root.names(ALL);
    names.retain(|name| name.starts_with("BAT") || name.to_lowercase().contains("battery"));
    let folder = format!("{ALL}/{}", names.first()?);
    let number = |names: [&str; 2]| names.iter().find_map(|name| root.number(&format!("{folder}/{name}")));
    let (now, full) = (number(["energy_now", "charge_now"]), number(["energy_full", "charge_full"]));
    let drawn = number(["power_now", "current_now"]);
    let percent = match (now, full) {
        (Some(now), Some(full)) if full > 0.0 => 100.0 * now / full,
        _ => root.number(&format!("{folder}/capacity"))?,
    };
    let status = root.word(&format!("{folder}/status")).map(|status| status.to_lowercase());
    let mains = ["AC0", "AC"].iter().find_map(|name| root.word(&format!("{ALL}/{name}/online")));
    let is_plugged = match (mains.as_deref(), status.as_deref()) {
        (Some(online), _) => Some(online == "1"),
        (None, Some("discharging")) => Some(false),
        (None, Some("charging" | "full")) => Some(true),
        _ => None,
    };
    let hours = now.zip(drawn).map(|(now, drawn)| now / drawn.abs()).filter(|hours| hours.is_finite());
    let seconds_left = hours.filter(|_| is_plugged != Some(true)).map(|hours| (hours * 3600.0) as i64);
    Some(Battery { percent, seconds_left, is_plugged })
}
