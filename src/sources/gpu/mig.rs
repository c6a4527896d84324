//! The slices of divided cards (MIG): their memory stands in `nvidia-smi -q -x`, their profiles and UUIDs in `nvidia-smi -L`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use roxmltree::{Document, Node};

use super::bus_of;

/// A slice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// Its name: the IDs of its GPU instance and compute instance, `gi3-ci0`. The index of a slice changes with the others.
    pub name: String,
    /// Its index on its card, by which `-L` tells it.
    pub index: u32,
    /// Its profile: `3g.40gb`; empty if it is not told.
    pub profile: String,
    /// Its UUID; empty if it is not told.
    pub uuid: String,
    /// Its numbers by name.
    pub values: BTreeMap<&'static str, f64>,
}

/// The longest XML, in bytes; 46 kB were seen of one card.
const LONGEST: usize = 8 << 20;

/// Parses the XML. Returns the slices of each card by its address.
///
/// # Errors
/// Fails if the text is no XML of nvidia-smi.
pub fn parse(xml: &str) -> Result<BTreeMap<String, Vec<Slice>>> {
    ensure!(xml.len() <= LONGEST, "nvidia-smi printed {} bytes of XML", xml.len());
    // The type of the document names a file and has no rules of its own; the parser refuses every one.
    let xml = match xml.find("<!DOCTYPE").and_then(|begin| Some((begin, begin + xml[begin..].find('>')?))) {
        Some((begin, end)) if !xml[begin..end].contains('[') => [&xml[..begin], &xml[end + 1..]].concat(),
        _ => xml.to_string(),
    };
    let document = Document::parse(&xml).context("nvidia-smi -q -x printed no XML")?;
    let root = document.root_element();
    ensure!(root.tag_name().name() == "nvidia_smi_log", "nvidia-smi -q -x printed other XML");
    let cards = root.children().filter(|node| node.tag_name().name() == "gpu");
    Ok(cards
        .map(|card| {
            let devices = child(card, "mig_devices").into_iter().flat_map(|devices| devices.children());
            let slices = devices.filter(|node| node.tag_name().name() == "mig_device").filter_map(slice);
            (bus_of(card.attribute("id").unwrap_or_default()), slices.collect())
        })
        .collect())
}

fn slice(device: Node) -> Option<Slice> {
    let number = |path: &[&str]| -> Option<f64> {
        let node = path.iter().try_fold(device, |node, name| child(node, name))?;
        let text = node.text()?.trim();
        match text.split_once(' ') {
            Some((number, "MiB")) => number.parse::<f64>().ok().map(|number| number * 1_048_576.0),
            Some(_) => None,
            None => text.parse().ok(),
        }
        .filter(|number: &f64| (0.0..1e15).contains(number))
    };
    let id = |name: &str| number(&[name]).map(|number| number as u32);
    let name = format!("gi{}-ci{}", id("gpu_instance_id")?, id("compute_instance_id")?);
    let values = [
        ("memory_total_bytes", number(&["fb_memory_usage", "total"])),
        ("memory_used_bytes", number(&["fb_memory_usage", "used"])),
        ("memory_free_bytes", number(&["fb_memory_usage", "free"])),
        ("multiprocessors", number(&["device_attributes", "shared", "multiprocessor_count"])),
        ("ecc_uncorrected_errors", number(&["ecc_error_count", "volatile_count", "sram_uncorrectable"])),
    ];
    let values = values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    Some(Slice { name, index: id("index").unwrap_or(0), values, ..Slice::default() })
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.tag_name().name() == name)
}

/// Parses `nvidia-smi -L`. Returns profile and UUID of each slice, by the UUID of its card and its index.
pub fn parse_list(text: &str) -> BTreeMap<(String, u32), (String, String)> {
    let mut slices = BTreeMap::new();
    let mut card = String::new();
    let uuid = |line: &str| {
        let (_, uuid) = line.rsplit_once("(UUID: ")?;
        Some(uuid.trim_end().trim_end_matches(')').to_string())
    };
    for line in text.lines().take(10_000) {
        if line.starts_with("GPU ") {
            card = uuid(line).unwrap_or_default();
        } else if let Some(rest) = line.trim_start().strip_prefix("MIG ") {
            let index =
                rest.split_once("Device").and_then(|(_, rest)| rest.trim_start().split(':').next()?.parse().ok());
            let profile = rest.split_whitespace().next().unwrap_or_default().to_string();
            if let (Some(index), Some(uuid)) = (index, uuid(line)) {
                slices.insert((card.clone(), index), (profile, uuid));
            }
        }
    }
    slices
}
