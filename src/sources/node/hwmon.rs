//! /sys/class/hwmon: temperatures and fans. The number of a chip (`hwmon3`) changes with each start of the machine, so a chip
//! is told by its name, and where several have one name also by the order of their devices. Where no chip has a temperature,
//! /sys/class/thermal has some.
//!
//! ```text
//! hwmon0/name coretemp
//! hwmon0/temp1_label Package id 0
//! hwmon0/temp1_input 52000 (m°C)
//! hwmon0/temp1_max 84000
//! hwmon0/temp1_crit 100000
//! ```

use std::collections::{BTreeSet, HashMap};

use super::{Root, in_order};

/// A chip.
#[derive(Clone, Debug, PartialEq)]
pub struct Chip {
    /// Its name, which no other chip has.
    pub name: String,
    /// What it measures.
    pub inputs: Vec<Input>,
    /// The file that says whether its device sleeps. To read its temperature would wake it.
    sleep: Option<String>,
}

/// One temperature or fan.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its label, which no other input of the chip has.
    pub label: String,
    /// From where on it is too high, in m°C.
    pub high: Option<f64>,
    /// From where on it harms, in m°C.
    pub critical: Option<f64>,
    file: String,
}

impl Chip {
    /// Whether its device sleeps.
    pub fn is_asleep(&self, root: &Root) -> bool {
        let state = self.sleep.as_ref().and_then(|file| root.word(file));
        state.is_some_and(|state| matches!(state.as_str(), "suspended" | "suspending"))
    }
}

impl Input {
    /// Returns its value, in m°C or turns a minute; `None` if it cannot be read.
    pub fn read(&self, root: &Root) -> Option<f64> {
        root.number(&self.file)
    }
}

/// Returns the chips with temperatures (`temp`) or fans (`fan`), sorted by name.
pub fn chips(root: &Root, what: &str) -> Vec<Chip> {
    const ALL: &str = "sys/class/hwmon";
    let mut chips = Vec::new();
    for number in root.names(ALL) {
        let folder = format!("{ALL}/{number}");
        let device = root.path(&folder).join("device").canonicalize().ok();
        // Old drivers have their files with the device.
        let folders = [folder.clone(), format!("{folder}/device")];
        let inputs: Vec<_> = folders.iter().flat_map(|folder| inputs(root, folder, what)).collect();
        if inputs.is_empty() {
            continue;
        }
        let file_name = || Some(device.as_ref()?.file_name()?.to_string_lossy().into_owned());
        let name = folders.iter().find_map(|folder| root.word(&format!("{folder}/name"))).or_else(file_name);
        let sleep = format!("{folder}/device/power/runtime_status");
        let sleep = root.word(&sleep).filter(|state| state != "unsupported").map(|_| sleep);
        // A device that is gone while it is looked at has no name.
        let Some(name) = name else { continue };
        let place = device.map_or(folder, |device| device.to_string_lossy().into_owned());
        chips.push((place, Chip { name, inputs: labelled(inputs), sleep }));
    }
    named(chips)
}

/// Returns the thermal zones as chips, sorted by name.
pub fn zones(root: &Root) -> Vec<Chip> {
    const ALL: &str = "sys/class/thermal";
    let mut zones = Vec::new();
    for zone in root.names(ALL).into_iter().filter(|name| name.starts_with("thermal_zone")) {
        let folder = format!("{ALL}/{zone}");
        let Some(name) = root.word(&format!("{folder}/type")) else { continue };
        let of_type = |wanted: &str| {
            let names = root.names(&folder);
            let mut points = names.iter().filter_map(|name| name.strip_suffix("_type"));
            let point = points.find(|point| root.word(&format!("{folder}/{point}_type")).as_deref() == Some(wanted))?;
            root.number(&format!("{folder}/{point}_temp"))
        };
        let (high, critical) = (of_type("high"), of_type("critical"));
        let input = Input { label: "temp1".into(), high, critical, file: format!("{folder}/temp") };
        zones.push((folder, Chip { name, inputs: vec![input], sleep: None }));
    }
    named(zones)
}

/// Returns the inputs of a folder, with the labels that they have.
fn inputs(root: &Root, folder: &str, what: &str) -> Vec<Input> {
    let names = root.names(folder);
    let stems = names.iter().filter_map(|name| {
        let stem = name.strip_suffix("_input")?;
        let number = stem.strip_prefix(what)?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(stem)
    });
    let input = |stem: &str| {
        let limit = |which: &str| root.number(&format!("{folder}/{stem}_{which}"));
        let label = root.word(&format!("{folder}/{stem}_label")).unwrap_or_else(|| stem.into());
        Input { label, high: limit("max"), critical: limit("crit"), file: format!("{folder}/{stem}_input") }
    };
    stems.map(input).collect()
}

/// Makes the labels of a chip's inputs unique, by the names of their files.
fn labelled(mut inputs: Vec<Input>) -> Vec<Input> {
    let mut seen = BTreeSet::new();
    for input in &mut inputs {
        let stem = input.file.rsplit('/').next().and_then(|file| file.strip_suffix("_input")).unwrap_or_default();
        if !seen.insert(input.label.clone()) {
            input.label = format!("{} {stem}", input.label);
            seen.insert(input.label.clone());
        }
    }
    inputs
}

/// Makes the names of chips unique: a name that several have gets a number, by the order of their devices.
fn named(mut chips: Vec<(String, Chip)>) -> Vec<Chip> {
    chips.sort_by(|(a, _), (b, _)| in_order(a, b));
    let mut counts: HashMap<String, usize> = HashMap::new();
    chips.iter().for_each(|(_, chip)| *counts.entry(chip.name.clone()).or_default() += 1);
    let mut given: HashMap<String, usize> = HashMap::new();
    for (_, chip) in &mut chips {
        if counts[&chip.name] > 1 {
            let number = given.entry(chip.name.clone()).or_default();
            // Another chip may be called so by its driver.
            let mut names = (*number..).map(|number| (number + 1, format!("{}_{number}", chip.name)));
            let (next, name) = names.find(|(_, name)| !counts.contains_key(name)).expect("there is no end of numbers");
            *number = next;
            chip.name = name;
        }
    }
    let mut chips: Vec<_> = chips.into_iter().map(|(_, chip)| chip).collect();
    chips.sort_by(|a, b| in_order(&a.name, &b.name));
    chips
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_of_one_name_are_numbered_and_none_has_a_name_that_another_has() {
        let chip = |name: &str| Chip { name: name.into(), inputs: Vec::new(), sleep: None };
        let names = |chips: &[(&str, &str)]| -> Vec<String> {
            let chips = chips.iter().map(|(place, name)| (place.to_string(), chip(name))).collect();
            named(chips).into_iter().map(|chip| chip.name).collect()
        };
        assert_eq!(names(&[("b", "nvme"), ("a", "nvme"), ("c", "acpitz")]), ["acpitz", "nvme_0", "nvme_1"]);
        let three = [("a", "nvme"), ("b", "nvme"), ("c", "nvme_0")];
        assert_eq!(names(&three), ["nvme_0", "nvme_1", "nvme_2"]);
    }
}
