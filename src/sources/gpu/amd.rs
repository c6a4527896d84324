//! AMD's cards, as the driver amdgpu tells of them below `/sys/class/drm/cardN/device`; no tool is needed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Gpu, bus_of, is_asleep, number, text};

/// AMD's number among the makers of PCI devices.
const VENDOR: &str = "0x1002";

/// The most cards.
const MOST: usize = 256;

/// Reads all cards. One that sleeps is left asleep.
pub fn read(root: &Path) -> Vec<Gpu> {
    let entries = fs::read_dir(root.join("sys/class/drm")).into_iter().flatten().flatten();
    let mut cards: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_card(path)).take(MOST).collect();
    cards.sort();
    cards.iter().filter_map(|card| read_card(&card.join("device"))).collect()
}

/// Whether it is a card, `card0`, and no connector of one, `card0-DP-1`.
fn is_card(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("card"));
    name.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn read_card(device: &Path) -> Option<Gpu> {
    if text(&device.join("vendor"))? != VENDOR {
        return None;
    }
    let events = text(&device.join("uevent")).unwrap_or_default();
    let event = |key: &str| events.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(String::from);
    let mut gpu = Gpu { bus: bus_of(&event("PCI_SLOT_NAME")?), vendor: "amd", ..Gpu::default() };
    if is_asleep(device) {
        gpu.is_asleep = true;
        return Some(gpu);
    }
    gpu.name = text(&device.join("product_name")).or_else(|| event("PCI_ID")).unwrap_or_default();
    gpu.uuid = text(&device.join("unique_id")).unwrap_or_default();
    gpu.values = values(device);
    Some(gpu)
}

fn values(device: &Path) -> BTreeMap<&'static str, f64> {
    let mut values = BTreeMap::new();
    let mut put = |name: &'static str, value: Option<f64>| {
        values.extend(value.filter(|value| *value >= 0.0).map(|value| (name, value)));
    };
    put("utilization_ratio", number(&device.join("gpu_busy_percent")).map(|percent| percent / 100.0));
    put("memory_utilization_ratio", number(&device.join("mem_busy_percent")).map(|percent| percent / 100.0));
    let (total, used) = (number(&device.join("mem_info_vram_total")), number(&device.join("mem_info_vram_used")));
    put("memory_total_bytes", total);
    put("memory_used_bytes", used);
    put("memory_free_bytes", total.zip(used).map(|(total, used)| total - used));
    put("pcie_width", number(&device.join("current_link_width")));
    let Some(hwmon) = hwmon(device) else { return values };
    let sensor = |name: &str, unit: f64| number(&hwmon.join(name)).map(|number| number / unit);
    put("power_watts", sensor("power1_average", 1e6).or_else(|| sensor("power1_input", 1e6)));
    put("power_limit_watts", sensor("power1_cap", 1e6));
    put("sm_clock_hertz", sensor("freq1_input", 1.0));
    put("memory_clock_hertz", sensor("freq2_input", 1.0));
    put("fan_ratio", sensor("pwm1", 255.0));
    for at in 1..=8 {
        let label = text(&hwmon.join(format!("temp{at}_label")));
        let name = match label.as_deref() {
            None | Some("edge") if at == 1 => "temperature_celsius",
            Some("mem") => "memory_temperature_celsius",
            _ => continue,
        };
        put(name, sensor(&format!("temp{at}_input"), 1000.0));
    }
    values
}

/// Returns the card's folder of sensors.
fn hwmon(device: &Path) -> Option<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(device.join("hwmon")).ok()?.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders.into_iter().next()
}
