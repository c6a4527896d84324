//! Sends what the instances of this host use to its sinks.

use std::process::ExitCode;

use clap::Parser;
use gridmon::frame::{self, Program, Published};
use gridmon::monitors::instances;
use gridmon::os::work::both;
use gridmon::setup::{self, Config, graphs, instances as composed};
use gridmon::sources::libvirt;
use jiff::Timestamp;

static PROGRAM: Program = Program {
    name: composed::PROGRAM,
    interval_seconds: 300,
    deadline_seconds: 240,
    sources: &["libvirt"],
    measurements: &instances::MEASUREMENTS,
};

/// Sends what the instances of this host use to its sinks: processors, memory, network, disks. Meant for cron, every five
/// minutes, on each host of instances.
///
/// Asks libvirtd on its read-only socket, and makes rates of the counters of this run and the last one. A QEMU that hangs
/// costs its own instance only. Prints nothing when all is well. Exit code 0: every instance told everything and all was
/// sent; 1: something is missing, and a line says what; 2: wrong flags or config.
#[derive(Parser)]
#[command(name = "collect-instances", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
    #[command(flatten)]
    compare: frame::Compare,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    if let Some(source) = &args.compare.compare {
        return setup::compare(&PROGRAM, &args.common, setup::load, composed::collect, source, instances::CAUSES);
    }
    let clock = || Timestamp::now().as_second();
    let check = |config: &Config, until| {
        let (libvirt, graphs) =
            both(|| libvirt::check(&config.libvirt, until), || graphs::check(config, clock(), until));
        [libvirt, graphs].concat()
    };
    // By the real clock, whatever --now says: requests are signed with it.
    let then = |published: &Published<Config>| graphs::publish(published, clock());
    frame::cron_then(&PROGRAM, &args.common, setup::load, composed::collect, then, check)
}
