//! What the ad of a slot says: whether the slot is dynamic, on which machine it is, and its name.
//!
//! ```text
//! {"DynamicSlot": true, "Machine": "wn1.example.org", "Name": "gpu_slot1_2@wn1.example.org", "SlotType": "Dynamic"}
//! {"Machine": "wn1.example.org", "Name": "gpu_slot1@wn1.example.org", "PartitionableSlot": true, "SlotType": "Partitionable"}
//! {"Machine": "wn2.example.org", "Name": "slot1@wn2.example.org", "SlotType": "Static"}
//! ```
//!
//! A name means nothing: `SLOT_TYPE_1_NAME_PREFIX` and `STARTD_NAME` put any text into it, also `_` and `@`. It decides
//! only where the ad lacks the attributes that do: in 2012 and before, HTCondor's static slots had no `SlotType`.

use super::ads::Attribute;

/// The attributes that [`DynamicSlot::read`] needs, in its order.
pub const ATTRIBUTES: [&str; 8] =
    ["Name", "Machine", "SlotType", "PartitionableSlot", "DynamicSlot", "Offline", "Mips", "KFlops"];

/// A dynamic slot.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicSlot {
    /// The part of `Name` before the machine: `slot1_2`.
    pub name: String,
    /// The host (`Machine`).
    pub machine: String,
    /// `Mips`; 0 until the startd has run its benchmarks.
    pub mips: f64,
    /// `KFlops`; 0 until the startd has run its benchmarks.
    pub kflops: f64,
}

impl DynamicSlot {
    /// Reads the [`ATTRIBUTES`] of an ad. Returns `None` if the slot is static or partitionable, if its machine sleeps
    /// (`Offline`), and if the ad names no machine.
    pub fn read(ad: &[Attribute; 8]) -> Option<Self> {
        let [name, machine, slot_type, partitionable, dynamic, offline, mips, kflops] = ad;
        let name = name.text().unwrap_or_default();
        let first = name.split('@').next().unwrap_or_default();
        let told = is_dynamic(slot_type, partitionable.truth(), dynamic.truth());
        if !told.unwrap_or_else(|| is_dynamic_id(first)) || offline.truth() == Some(true) {
            return None;
        }
        let named = || name.rsplit_once('@').map(|(_, host)| host.to_string());
        let machine = machine.text().filter(|machine| !machine.is_empty()).or_else(named)?;
        // An `@` belongs to the prefix, or to the name of the startd: slot1_2@startd@host.
        let mut ids = name.match_indices('@').map(|(at, _)| &name[..at]);
        let id = ids.find(|id| is_dynamic_id(id)).unwrap_or(first);
        let id = if id.is_empty() { "unknown" } else { id };
        (!machine.is_empty()).then(|| Self {
            name: id.into(),
            machine,
            mips: mips.number().unwrap_or_default(),
            kflops: kflops.number().unwrap_or_default(),
        })
    }
}

/// Returns whether the attributes call a slot dynamic; `None` if there are none of them.
fn is_dynamic(slot_type: &Attribute, partitionable: Option<bool>, dynamic: Option<bool>) -> Option<bool> {
    let slot_type = slot_type.text().map(|text| text.trim().to_lowercase());
    match slot_type.as_deref() {
        Some("dynamic") => Some(true),
        Some("static" | "partitionable") => Some(false),
        other => {
            let known = other.is_some() || partitionable.is_some() || dynamic.is_some();
            known.then_some(dynamic == Some(true) && partitionable != Some(true))
        }
    }
}

/// Returns whether a text ends like the name of a dynamic slot, in two numbers: `slot1_2`.
fn is_dynamic_id(id: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let numbers = id.rsplit_once('_');
    numbers.is_some_and(|(slot, number)| slot.ends_with(is_digit) && !number.is_empty() && number.chars().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::htcondor::ads;

    /// Returns `NAME on MACHINE` for a dynamic slot.
    fn read(ad: &str) -> Option<String> {
        let slot = DynamicSlot::read(&ads::read(ad.as_bytes(), &ATTRIBUTES).unwrap())?;
        Some(format!("{} on {}", slot.name, slot.machine))
    }

    #[test]
    fn the_attributes_say_what_a_slot_is_and_its_name_does_not() {
        for (ad, expected) in [
            (r#"{"Name": "gpu_slot1@wn1", "SlotType": "Partitionable", "PartitionableSlot": true}"#, None),
            (r#"{"Name": "slot1_1@wn1", "SlotType": "Static"}"#, None),
            (r#"{"Name": "my_slot2@wn1", "SlotType": "Static"}"#, None),
            (r#"{"Name": "slot7@wn1", "SlotType": "Dynamic"}"#, Some("slot7 on wn1")),
            (r#"{"Name": "gpu_slot1_2@wn1", "SlotType": "Dynamic"}"#, Some("gpu_slot1_2 on wn1")),
            (
                r#"{"Name": "backfill1_1@wn1", "slottype": " dynamic", "BackfillSlot": true}"#,
                Some("backfill1_1 on wn1"),
            ),
            // Booleans of every spelling.
            (r#"{"Name": "gpu_1_1@wn1", "PartitionableSlot": true}"#, None),
            (r#"{"Name": "gpu_1_1@wn1", "PartitionableSlot": "true", "DynamicSlot": "true"}"#, None),
            (r#"{"Name": "a@wn1", "DynamicSlot": true}"#, Some("a on wn1")),
            (r#"{"Name": "a@wn1", "DynamicSlot": "TRUE", "PartitionableSlot": 0}"#, Some("a on wn1")),
            (r#"{"Name": "a@wn1", "DynamicSlot": 1, "SlotType": null}"#, Some("a on wn1")),
            (r#"{"Name": "slot1_1@wn1", "DynamicSlot": "0"}"#, None),
            (r#"{"Name": "slot1_1@wn1", "PartitionableSlot": 0}"#, None),
            (r#"{"Name": "slot1_1@wn1", "SlotType": "Broken"}"#, None),
            (r#"{"Name": "slot1_1@wn1", "SlotType": "Dynamic", "Offline": true}"#, None),
            (r#"{"Name": "slot1_1@wn1", "SlotType": "Dynamic", "Offline": false}"#, Some("slot1_1 on wn1")),
            // An expression that did not evaluate says nothing.
            (r#"{"Name": "slot1_1@wn1", "SlotType": "\/Expr(X)\/", "DynamicSlot": null}"#, Some("slot1_1 on wn1")),
        ] {
            assert_eq!(read(ad).as_deref(), expected, "{ad}");
        }
    }

    #[test]
    fn without_the_attributes_the_two_numbers_of_a_name_decide() {
        for (name, expected) in [
            ("slot1_2@wn1", Some("slot1_2 on wn1")),
            ("slot12_345@startd@wn1", Some("slot12_345 on wn1")),
            ("slot1@wn1", None),
            ("gpu_slot1@wn1", None),
            ("slot_1@wn1", None),
            ("slot1@glidein_1_2@wn1", None),
            ("slot1_2@", None),
            ("slot1_2", None),
            ("", None),
        ] {
            assert_eq!(read(&format!(r#"{{"Name": "{name}"}}"#)).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn the_machine_is_an_attribute_too_and_a_prefix_may_hold_an_at_sign() {
        for (name, expected) in [
            ("slot1_2@wn1.x.org", "slot1_2 on wn1.x.org"),
            ("slot1_2@startd@of_2_3", "slot1_2 on wn1.x.org"),
            ("big@gpu1_2@wn1.x.org", "big@gpu1_2 on wn1.x.org"),
            ("slot1_2", "slot1_2 on wn1.x.org"),
            ("", "unknown on wn1.x.org"),
        ] {
            let ad = format!(r#"{{"Name": "{name}", "Machine": "wn1.x.org", "SlotType": "Dynamic"}}"#);
            // A name without an `@` is shown whole.
            assert_eq!(read(&ad).as_deref(), Some(expected), "{name}");
        }
    }
}
