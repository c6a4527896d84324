//! `[sensor:GPU]`: NVIDIA's and AMD's cards. QULo had no such sensor.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{Declaration, Field, FieldInfo, FieldValue, Fold, Kind as Type, Measurement, Point, Tag};
use crate::sources::gpu::{Answer, Config, Gpu, Gpus, KeepRunning, Slice};

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "GPU",
    section: Section::new(
        "sensor:GPU",
        "NVIDIA's and AMD's GPUs, and the slices of divided ones (MIG). A machine without a GPU has no points of it.",
        &[
            TIME_INTERVAL,
            ENABLED,
            PREFIX,
            Key::new(
                "command",
                Kind::Command,
                Unset::Default("nvidia-smi"),
                "The program that tells of NVIDIA's cards, with first arguments; found on PATH unless a path is given. AMD's need none.",
            ),
            Key::new(
                "timeout_seconds",
                Kind::Seconds(1, 600),
                Unset::Default("10"),
                "How long one question may take, in seconds. Cards that answer are sent, also if another one hangs.",
            ),
            Key::new(
                "keep_running",
                Kind::Word(&["auto", "yes", "no"]),
                Unset::Default("auto"),
                "Whether nvidia-smi is kept running: auto where it takes more than a second to start and no card may sleep, which it \
                 would keep awake; yes or no.",
            ),
        ],
    ),
    measurements: &[&GPU_HOST, &GPU, &GPU_SLICE],
    source: "nvidia-smi, /sys/class/drm/card*/device, /sys/bus/pci/drivers/nvidia",
    is_default: true,
    is_slow: true,
    options,
};

fn options(values: &Values) -> Result<super::Open> {
    let command = values.command("command")?;
    let timeout = Duration::from_secs(values.number("timeout_seconds")?);
    let interval = Duration::try_from_secs_f64(values.decimal(TIME_INTERVAL.name)?)?;
    let keep_running = match values.word("keep_running")? {
        "yes" => KeepRunning::Yes,
        "no" => KeepRunning::No,
        _ => KeepRunning::Auto,
    };
    Ok(Arc::new(move |node: &Node| {
        let root = node.root.path("").as_path().to_path_buf();
        let config = Config { command: command.clone(), timeout, keep_running, interval, root };
        Box::new(Cards { gpus: Gpus::new(config), host: node.host.clone() })
    }))
}

const fn mean(name: &'static str, unit: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, unit, Fold::Mean, meaning)
}

const fn real(name: &'static str, unit: &'static str, meaning: &'static str) -> FieldInfo {
    let field: Field<f64> = Field::gauge(name, unit, Fold::Mean, meaning);
    field.info()
}

const fn whole(name: &'static str, unit: &'static str, fold: Fold, meaning: &'static str) -> FieldInfo {
    let field: Field<i64> = Field::gauge(name, unit, fold, meaning);
    field.info()
}

const HEARTBEAT: Field<i64> = mean("heartbeat", "0 or 1", "whether all that tells of GPUs answered");
const CARDS: Field<i64> = mean("cards", "gpus", "those that are there, those that are lost included");
const CARDS_LOST: Field<i64> = Field::gauge("lost", "gpus", Fold::Max, "those that were there and do not answer");

/// The GPUs of a node.
pub static GPU_HOST: Measurement = Measurement::new(Declaration {
    name: "gpu_host",
    meaning: "the GPUs of a node, and whether they answered",
    tags: &[Tag::key("host")],
    fields: &[HEARTBEAT.info(), CARDS.info(), CARDS_LOST.info()],
    carbon: "{host}.GPU.{field}",
    every: 10,
});

const LOST: Field<i64> = Field::gauge(
    "lost",
    "0 or 1",
    Fold::Max,
    "whether it was there before, or its driver has it, and it does not answer",
);
const ASLEEP: Field<i64> =
    mean("asleep", "0 or 1", "whether it sleeps; it is not woken, and has no other numbers then");

/// How many fields every card has.
const NEEDED: usize = 2;

/// What a card may tell, beside the first two.
const FIELDS: [FieldInfo; 27] = [
    LOST.info(),
    ASLEEP.info(),
    real(
        "utilization_ratio",
        "ratio",
        "of the time in which it computed (utilization.gpu, gpu_busy_percent); absent if it is divided",
    ),
    real(
        "memory_utilization_ratio",
        "ratio",
        "of the time in which its memory was read or written (utilization.memory)",
    ),
    whole("memory_total_bytes", "bytes", Fold::Last, "its memory (memory.total, mem_info_vram_total)"),
    whole("memory_used_bytes", "bytes", Fold::Mean, "of it in use (memory.used, mem_info_vram_used)"),
    whole("memory_free_bytes", "bytes", Fold::Mean, "of it free, without what the driver reserves (memory.free)"),
    real("temperature_celsius", "celsius", "of the chip (temperature.gpu, hwmon's edge)"),
    real("memory_temperature_celsius", "celsius", "of its memory (temperature.memory, hwmon's mem)"),
    real("power_watts", "watts", "what it draws (power.draw, power1_average)"),
    real("power_limit_watts", "watts", "the most it may draw (enforced.power.limit, power1_cap)"),
    real("sm_clock_hertz", "hertz", "the clock of its processors (clocks.sm, freq1_input)"),
    real("memory_clock_hertz", "hertz", "the clock of its memory (clocks.mem, freq2_input)"),
    real("fan_ratio", "ratio", "the speed of its fan, of the fastest (fan.speed, pwm1)"),
    whole("performance_state", "a number", Fold::Last, "0, the fastest, to 15 (pstate)"),
    real("power_capped", "0 or 1", "whether its clock is held down by the limit of power (clocks_event_reasons, 0x4)"),
    real("thermally_slowed", "0 or 1", "whether its clock is held down by heat (clocks_event_reasons, 0x60)"),
    real(
        "hardware_slowed",
        "0 or 1",
        "whether its hardware slows it down, for heat or for its supply (clocks_event_reasons, 0x88)",
    ),
    whole(
        "ecc_corrected_errors",
        "errors",
        Fold::Max,
        "since its driver was loaded (ecc.errors.corrected.volatile.total)",
    ),
    whole("ecc_uncorrected_errors", "errors", Fold::Max, "the same (ecc.errors.uncorrected.volatile.total)"),
    whole("retired_pages_pending", "0 or 1", Fold::Max, "whether bad pages wait for a reboot (retired_pages.pending)"),
    whole(
        "remapped_rows_failure",
        "0 or 1",
        Fold::Max,
        "whether a bad row has no spare one left: replace the card (remapped_rows.failure)",
    ),
    whole(
        "pcie_generation",
        "a number",
        Fold::Last,
        "of its link now; lower while it is idle (pcie.link.gen.gpucurrent)",
    ),
    whole("pcie_width", "lanes", Fold::Last, "of its link now (pcie.link.width.current, current_link_width)"),
    whole("persistence", "0 or 1", Fold::Last, "whether its driver stays loaded (persistence_mode)"),
    whole("mig", "0 or 1", Fold::Last, "whether it is divided into slices (mig.mode.current)"),
    whole("slices", "slices", Fold::Last, "those of a divided card"),
];

/// One GPU.
pub static GPU: Measurement = Measurement::new(Declaration {
    name: "gpu",
    meaning: "one GPU, by its PCI address; what it does not tell is absent",
    tags: &[
        Tag::key("host"),
        Tag::key("bus"),
        Tag::label("vendor"),
        Tag::label("name"),
        Tag::label("uuid"),
        Tag::label("driver"),
    ],
    fields: &FIELDS,
    carbon: "{host}.GPU.{bus}.{field}",
    every: 10,
});

const MULTIPROCESSORS: FieldInfo =
    whole("multiprocessors", "processors", Fold::Last, "its streaming multiprocessors (multiprocessor_count)");

/// One slice of a divided GPU.
pub static GPU_SLICE: Measurement = Measurement::new(Declaration {
    name: "gpu_slice",
    meaning: "one slice of a divided GPU (MIG), by the IDs of its instances; NVIDIA tells no utilization of it",
    tags: &[Tag::key("host"), Tag::key("bus"), Tag::key("slice"), Tag::label("profile"), Tag::label("uuid")],
    fields: &[FIELDS[4], FIELDS[5], FIELDS[6], FIELDS[19], MULTIPROCESSORS],
    carbon: "{host}.GPU.{bus}.slice.{slice}.{field}",
    every: 10,
});

struct Cards {
    gpus: Gpus,
    host: String,
}

impl Reading for Cards {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let answer = self.gpus.read();
        Ok(Taken { points: points(&self.host, at.time, &answer), problems: answer.problems })
    }

    fn adopt(&mut self, old: Box<dyn Any>) {
        if let Ok(old) = old.downcast::<Self>() {
            self.gpus.adopt(old.gpus);
        }
    }

    fn needs_two(&self) -> bool {
        false
    }
}

/// Returns the points of a reading; none of a machine that has no card.
pub fn points(host: &str, time: i64, answer: &Answer) -> Vec<Point> {
    if answer.gpus.is_empty() && answer.is_whole {
        return Vec::new();
    }
    let lost = answer.gpus.iter().filter(|gpu| gpu.is_lost).count() as i64;
    let own = [HEARTBEAT.of(answer.is_whole.into()), CARDS.of(answer.gpus.len() as i64), CARDS_LOST.of(lost)];
    let mut points = vec![GPU_HOST.point(time, [host], &own)];
    for gpu in &answer.gpus {
        let mut fields = vec![LOST.of(gpu.is_lost.into()), ASLEEP.of(gpu.is_asleep.into())];
        fields.extend(values(&FIELDS[NEEDED..], |name| match name {
            "slices" if !gpu.slices.is_empty() => Some(gpu.slices.len() as f64),
            _ => gpu.values.get(name).copied(),
        }));
        let labels = [gpu.vendor, &gpu.name, &gpu.uuid, &gpu.driver]
            .map(|label| if label.is_empty() { "unknown" } else { label });
        let [vendor, name, uuid, driver] = labels;
        points.push(GPU.point(time, [host, &gpu.bus, vendor, name, uuid, driver], &fields));
        points.extend(slices(host, time, gpu));
    }
    points
}

fn slices(host: &str, time: i64, gpu: &Gpu) -> Vec<Point> {
    let point = |slice: &Slice| {
        let fields: Vec<_> = values(GPU_SLICE.fields, |name| slice.values.get(name).copied()).collect();
        let [profile, uuid] =
            [&slice.profile, &slice.uuid].map(|label| if label.is_empty() { "unknown" } else { label });
        GPU_SLICE.point(time, [host, &gpu.bus, &slice.name, profile, uuid], &fields)
    };
    gpu.slices.iter().filter(|slice| !slice.values.is_empty()).map(point).collect()
}

/// Returns the values of the fields that have one.
fn values<'a>(
    fields: &'a [FieldInfo],
    value: impl Fn(&str) -> Option<f64> + 'a,
) -> impl Iterator<Item = FieldValue> + 'a {
    fields.iter().filter_map(move |field| {
        let value = value(field.name)?;
        Some(match field.kind {
            Type::Int => mean(field.name, "", "").of(value.round() as i64),
            Type::Float => {
                let of: Field<f64> = Field::gauge(field.name, "", Fold::Mean, "");
                of.of(value)
            }
        })
    })
}
