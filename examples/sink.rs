//! The smallest sink: points go into a file of line protocol for each slot, which some other program picks up. Copy it to begin a new
//! one.
//!
//! In the house it would stand in `src/sinks/drop_folder.rs` with its section of config.cfg, and in `setup/sinks.rs`. Try it without
//! any server; the second line shows what it wrote:
//!
//! ```sh
//! cargo run --example sink -- --verbose
//! cat target/drop/*.lp
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use gridmon::frame::{self, Program, Run, Setup};
use gridmon::model::{Catalog, Collected, Declaration, Field, Fold, Measurement, Point, Tag};
use gridmon::os::files::{self, host_name};
use gridmon::setup::{self, Config};
use gridmon::sinks::{Sent, Sink};
use gridmon::spool::Batch;

/// A folder that gets a file for each batch.
struct DropFolder {
    folder: PathBuf,
}

impl DropFolder {
    /// Writes the file whole or not at all. Its name comes from the batch: the same batch again gives the same file.
    fn write(&self, batch: &Batch) -> Result<()> {
        let name = format!("{}-{}-{}.lp", batch.header.program, batch.header.grid, batch.header.time);
        let path = self.folder.join(name);
        files::write(&path, lines(&batch.points).as_bytes()).with_context(|| path.display().to_string())
    }
}

/// The encoder: pure, so that `--dry-run` and the tests can share it.
fn lines(points: &[Point]) -> String {
    points.iter().map(|point| point.line() + "\n").collect()
}

impl Sink for DropFolder {
    fn name(&self) -> &str {
        "drop-folder"
    }

    /// Acknowledged is what the disk has: until then the batch waits in the spool, and the next run sends it again.
    fn send(&self, batch: &Batch, _deadline: Instant) -> Sent {
        Sent { dropped: Vec::new(), refused: Vec::new(), result: self.write(batch) }
    }

    fn check(&self, _deadline: Instant) -> Result<String> {
        ensure!(self.folder.is_dir(), "{} is no folder; create it, or run with --setup", self.folder.display());
        Ok(self.folder.display().to_string())
    }

    fn setup(&self, _deadline: Instant) -> Result<String> {
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        Ok(format!("{} is there", self.folder.display()))
    }
}

/// Something to send.
static BEAT: Measurement = Measurement::new(Declaration {
    name: "example_beat",
    meaning: "a run of this example",
    tags: &[Tag::key("host")],
    fields: &[ALIVE.info()],
    carbon: "example.{host}.alive",
    every: 60,
});

const ALIVE: Field<i64> = Field::gauge("alive", "0 or 1", Fold::Mean, "it ran");

static PROGRAM: Program =
    Program { name: "example-sink", interval_seconds: 60, deadline_seconds: 50, sources: &[], measurements: &[&BEAT] };

/// Writes a point into a folder.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    frame::cron(&PROGRAM, &args.common, load, collect, |_, _| Vec::new())
}

/// In the house `setup/` makes the sinks that the config selects; here the program brings its own, and its folder.
fn load(path: Option<&Path>, program: &Program) -> Result<(Config, Setup)> {
    let (config, setup) = setup::load(path, program)?;
    fs::create_dir_all("target/drop/state")?;
    let state = fs::canonicalize("target/drop/state")?;
    let sinks = |_: &Path| -> Vec<Box<dyn Sink>> { vec![Box::new(DropFolder { folder: "target/drop".into() })] };
    let catalog = Catalog::new(PROGRAM.measurements);
    Ok((config, Setup { catalog, sinks: Box::new(sinks), state_directory: Some(state), ..setup }))
}

fn collect(run: &Run<Config>) -> Collected {
    let points = vec![BEAT.point(run.time, [host_name().as_str()], &[ALIVE.of(1)])];
    Collected { points, complete: vec![&BEAT], ..Collected::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gridmon::spool::Header;

    use super::*;

    #[test]
    fn a_batch_that_is_sent_twice_is_there_once_and_a_folder_that_is_gone_is_named() {
        let folder = std::env::temp_dir().join(format!("gridmon-example-sink-{}", std::process::id()));
        let sink = DropFolder { folder: folder.clone() };
        let header = Header {
            program: "p".into(),
            grid: "g".into(),
            time: 60,
            tier: "raw".into(),
            database: String::new(),
            sinks: BTreeSet::new(),
        };
        let batch = Batch { header, points: vec![BEAT.point(60_000_000_000, ["wn1"], &[ALIVE.of(1)])] };
        let gone = sink.send(&batch, Instant::now());
        assert!(format!("{:#}", gone.result.unwrap_err()).contains("p-g-60.lp"));
        assert!(sink.check(Instant::now()).is_err());
        sink.setup(Instant::now()).unwrap();
        for _ in 0..2 {
            sink.send(&batch, Instant::now()).result.unwrap();
            let text = fs::read_to_string(folder.join("p-g-60.lp")).unwrap();
            assert_eq!(text, "example_beat,host=wn1 alive=1i 60000000000\n");
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
