//! What collect-instances measures.

use super::files::FILES;
use crate::model::{Declaration, Field, Fold, Measurement, Tag};

/// What collect-instances sends.
pub static MEASUREMENTS: [&Measurement; 4] = [&INSTANCE_HOST, &INSTANCE, &INSTANCE_NET, &INSTANCE_BLOCK];

const fn last(name: &'static str, unit: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, unit, Fold::Last, meaning)
}

const fn bytes(name: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, "bytes", Fold::Mean, meaning)
}

const fn rate(name: &'static str, unit: &'static str, meaning: &'static str) -> Field<f64> {
    Field::gauge(name, unit, Fold::Mean, meaning)
}

pub(super) const HEARTBEAT: Field<i64> =
    Field::gauge("heartbeat", "0 or 1", Fold::Mean, "whether libvirtd told of its instances in this run");
pub(super) const INSTANCES: Field<i64> =
    Field::gauge("instances", "instances", Fold::Mean, "how many libvirt has, those that are off included");
pub(super) const RUNNING: Field<i64> = Field::gauge(
    "running",
    "instances",
    Fold::Mean,
    "how many of them are on: running, paused, suspended, stopping; absent if some were not asked",
);
pub(super) const UNANSWERED: Field<i64> = Field::gauge(
    "unanswered",
    "instances",
    Fold::Max,
    "how many did not tell everything: their QEMU hangs, or a job of libvirt holds them for more than 15 min",
);

/// One host of instances.
pub static INSTANCE_HOST: Measurement = Measurement::new(Declaration {
    name: "instance_host",
    meaning: "one host of instances, and whether its libvirtd answered",
    tags: &[Tag::key("grid"), Tag::key("host")],
    fields: &[HEARTBEAT.info(), INSTANCES.info(), RUNNING.info(), UNANSWERED.info()],
    carbon: "instances_host.{grid}.{host}.{field}",
    every: 300,
});

pub(super) const STATE: Field<i64> = last(
    "state",
    "a number",
    "1 running, 2 blocked, 3 paused, 4 stopping, 5 off, 6 crashed, 7 suspended (state.state)",
);
pub(super) const REASON: Field<i64> =
    last("state_reason", "a number", "why; its meaning depends on the state (state.reason)");
pub(super) const CPU_CORES: Field<f64> =
    rate("cpu_cores", "cores", "processor time of QEMU, its own threads included (cpu.time)");
pub(super) const CPU_RATIO: Field<f64> =
    rate("cpu_ratio", "ratio", "cpu_cores of vcpus, at most 1 (cpu.time, vcpu.current)");
pub(super) const CPU_USER: Field<f64> = rate("cpu_user_cores", "cores", "of it in user mode (cpu.user)");
pub(super) const CPU_SYSTEM: Field<f64> = rate("cpu_system_cores", "cores", "of it in the kernel (cpu.system)");
pub(super) const CPU_STEAL: Field<f64> =
    rate("cpu_steal_cores", "cores", "virtual CPUs that were ready while the host ran others (vcpu.N.delay)");
pub(super) const CPU_WAIT: Field<f64> =
    rate("cpu_wait_cores", "cores", "virtual CPUs that waited for the host's IO (vcpu.N.wait)");
pub(super) const VCPUS: Field<i64> = last("vcpus", "vcpus", "virtual CPUs (vcpu.current)");
pub(super) const VCPUS_LIMIT: Field<i64> = last("vcpus_limit", "vcpus", "the most it may have (vcpu.maximum)");
pub(super) const MEMORY: Field<i64> = bytes("memory_bytes", "what the guest has (balloon.current)");
pub(super) const MEMORY_LIMIT: Field<i64> =
    last("memory_limit_bytes", "bytes", "the most it may have (balloon.maximum)");
pub(super) const MEMORY_RSS: Field<i64> =
    bytes("memory_rss_bytes", "what QEMU holds of the host's memory (balloon.rss)");
pub(super) const MEMORY_AVAILABLE: Field<i64> =
    bytes("memory_available_bytes", "what the guest's kernel has in all (balloon.available)");
pub(super) const MEMORY_UNUSED: Field<i64> =
    bytes("memory_unused_bytes", "what the guest uses for nothing, not even caches (balloon.unused)");
pub(super) const MEMORY_USABLE: Field<i64> =
    bytes("memory_usable_bytes", "what the guest could use without swapping (balloon.usable)");
pub(super) const MEMORY_CACHES: Field<i64> =
    bytes("memory_disk_caches_bytes", "what the guest's caches hold (balloon.disk_caches)");
pub(super) const SWAP_IN: Field<f64> =
    rate("swap_in_bytes_per_second", "bytes per second", "what the guest reads from its swap (balloon.swap_in)");
pub(super) const SWAP_OUT: Field<f64> =
    rate("swap_out_bytes_per_second", "bytes per second", "what the guest writes to its swap (balloon.swap_out)");
pub(super) const MAJOR_FAULTS: Field<f64> = rate(
    "major_faults_per_second",
    "faults per second",
    "page faults in the guest that needed its disk (balloon.major_fault)",
);
pub(super) const MINOR_FAULTS: Field<f64> =
    rate("minor_faults_per_second", "faults per second", "its other page faults (balloon.minor_fault)");
pub(super) const INTERFACES: Field<i64> = last("interfaces", "interfaces", "network interfaces (net.count)");
pub(super) const DISKS: Field<i64> = last("disks", "disks", "disks (block.count)");
pub(super) const NET_RX: Field<f64> =
    rate("net_rx_bytes_per_second", "bytes per second", "what it received, over its interfaces with a rate");
pub(super) const NET_TX: Field<f64> =
    rate("net_tx_bytes_per_second", "bytes per second", "what it sent, over its interfaces with a rate");
pub(super) const DISK_RD: Field<f64> =
    rate("disk_rd_bytes_per_second", "bytes per second", "what it read, over its disks with a rate");
pub(super) const DISK_WR: Field<f64> =
    rate("disk_wr_bytes_per_second", "bytes per second", "what it wrote, over its disks with a rate");

/// One instance.
pub static INSTANCE: Measurement = Measurement::new(Declaration {
    name: "instance",
    meaning: "one instance (libvirt's domain), by its UUID; one that is off has its state alone",
    tags: &[
        Tag::key("grid"),
        Tag::key("host"),
        Tag::key("instance"),
        Tag::label("name"),
        Tag::label("project"),
        Tag::label("flavor"),
    ],
    fields: &[
        STATE.info(),
        REASON.info(),
        CPU_CORES.info(),
        CPU_RATIO.info(),
        CPU_USER.info(),
        CPU_SYSTEM.info(),
        CPU_STEAL.info(),
        CPU_WAIT.info(),
        VCPUS.info(),
        VCPUS_LIMIT.info(),
        MEMORY.info(),
        MEMORY_LIMIT.info(),
        MEMORY_RSS.info(),
        MEMORY_AVAILABLE.info(),
        MEMORY_UNUSED.info(),
        MEMORY_USABLE.info(),
        MEMORY_CACHES.info(),
        SWAP_IN.info(),
        SWAP_OUT.info(),
        MAJOR_FAULTS.info(),
        MINOR_FAULTS.info(),
        INTERFACES.info(),
        DISKS.info(),
        NET_RX.info(),
        NET_TX.info(),
        DISK_RD.info(),
        DISK_WR.info(),
    ],
    carbon: "instances.{grid}.{host}.{instance}.{field}",
    every: 300,
})
.in_rrd(&FILES);

const RECEIVED: &str = "what the guest received";
const SENT: &str = "what the guest sent";

/// The rates of an interface, in the order of libvirt's counters.
pub(super) const NET_RATES: [Field<f64>; 8] = [
    rate("rx_bytes_per_second", "bytes per second", RECEIVED),
    rate("rx_packets_per_second", "packets per second", RECEIVED),
    rate("rx_errors_per_second", "packets per second", "broken ones on the way to the guest"),
    rate("rx_drops_per_second", "packets per second", "dropped ones on the way to the guest"),
    rate("tx_bytes_per_second", "bytes per second", SENT),
    rate("tx_packets_per_second", "packets per second", SENT),
    rate("tx_errors_per_second", "packets per second", "broken ones on the way from the guest"),
    rate("tx_drops_per_second", "packets per second", "dropped ones on the way from the guest"),
];

/// One network interface of an instance.
pub static INSTANCE_NET: Measurement = Measurement::new(Declaration {
    name: "instance_net",
    meaning: "one network interface of an instance, by its name on the host",
    tags: DEVICE,
    fields: &[
        NET_RATES[0].info(),
        NET_RATES[1].info(),
        NET_RATES[2].info(),
        NET_RATES[3].info(),
        NET_RATES[4].info(),
        NET_RATES[5].info(),
        NET_RATES[6].info(),
        NET_RATES[7].info(),
    ],
    carbon: "instances.{grid}.{host}.{instance}.net.{device}.{field}",
    every: 300,
});

const DEVICE: &[Tag] = &[
    Tag::key("grid"),
    Tag::key("host"),
    Tag::key("instance"),
    Tag::key("device"),
    Tag::label("name"),
    Tag::label("project"),
    Tag::label("flavor"),
];

/// The rates of a disk, in the order of libvirt's counters.
pub(super) const BLOCK_RATES: [Field<f64>; 8] = [
    rate("rd_bytes_per_second", "bytes per second", "what the guest read"),
    rate("wr_bytes_per_second", "bytes per second", "what the guest wrote"),
    rate("rd_requests_per_second", "requests per second", "its reads"),
    rate("wr_requests_per_second", "requests per second", "its writes"),
    rate("fl_requests_per_second", "requests per second", "its flushes"),
    rate("rd_busy_ratio", "ratio", "reads under way, on average (rd.times); above 1 several at once"),
    rate("wr_busy_ratio", "ratio", "writes under way, on average (wr.times); above 1 several at once"),
    rate("fl_busy_ratio", "ratio", "flushes under way, on average (fl.times); above 1 several at once"),
];

/// The sizes of a disk.
pub(super) const BLOCK_SIZES: [Field<i64>; 3] = [
    last("capacity_bytes", "bytes", "as the guest sees it"),
    last("allocation_bytes", "bytes", "up to the highest byte that was written"),
    last("physical_bytes", "bytes", "its file or device on the host"),
];

/// One disk of an instance.
pub static INSTANCE_BLOCK: Measurement = Measurement::new(Declaration {
    name: "instance_block",
    meaning: "one disk of an instance, by its name in the guest",
    tags: DEVICE,
    fields: &[
        BLOCK_RATES[0].info(),
        BLOCK_RATES[1].info(),
        BLOCK_RATES[2].info(),
        BLOCK_RATES[3].info(),
        BLOCK_RATES[4].info(),
        BLOCK_RATES[5].info(),
        BLOCK_RATES[6].info(),
        BLOCK_RATES[7].info(),
        BLOCK_SIZES[0].info(),
        BLOCK_SIZES[1].info(),
        BLOCK_SIZES[2].info(),
    ],
    carbon: "instances.{grid}.{host}.{instance}.block.{device}.{field}",
    every: 300,
});
