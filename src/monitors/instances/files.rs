//! The files in rrdtool's format that nova's instance monitor kept for each instance, and their graphs, with its names,
//! colours and axes.

use crate::model::{RrdFile, RrdScale, RrdSource};

const fn area(name: &'static str, field: &'static str, label: &'static str, colour: &'static str) -> RrdSource {
    RrdSource { name, field, factor: 1.0, most: None, label, colour, is_area: true }
}

const fn line(name: &'static str, field: &'static str, label: &'static str) -> RrdSource {
    RrdSource { name, field, factor: 1.0, most: None, label, colour: "#0000ff", is_area: false }
}

/// A file of bytes in two directions; what is less than 1 kB a second lies on the axis.
const fn bytes(name: &'static str, sources: &'static [RrdSource]) -> RrdFile {
    RrdFile { name, folder: "instance", sources, axis: "bytes/s", scale: RrdScale::LogarithmicFrom(1000.0) }
}

const CPU: RrdSource = RrdSource { factor: 100.0, most: Some(100.0), ..area("cpu", "cpu_ratio", "% CPU", "#eacc00") };

const NET: [RrdSource; 2] = [
    area("rx", "net_rx_bytes_per_second", "In traffic", "#00ff00"),
    line("tx", "net_tx_bytes_per_second", "Out traffic"),
];

const DISK: [RrdSource; 2] =
    [area("rd", "disk_rd_bytes_per_second", "Read", "#00ff00"), line("wr", "disk_wr_bytes_per_second", "Write")];

/// `cpu.rrd`, `net.rrd` and `disk.rrd` in the folder of the instance's UUID.
pub static FILES: [RrdFile; 3] = [
    RrdFile { name: "cpu", folder: "instance", sources: &[CPU], axis: "% cpu used", scale: RrdScale::To(100.0) },
    bytes("net", &NET),
    bytes("disk", &DISK),
];
