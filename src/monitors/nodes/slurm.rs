//! `[sensor:Slurm]`: the Slurm cluster, from one node that may ask. The measurements are those of collect-slurm.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::sensor::{Moment, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::{Key, Section, Unset, Values};
use crate::model::SECOND;
use crate::monitors::slurm::{MEASUREMENTS, Shown, SlurmInput, points};
use crate::os::files;
use crate::problem::Problem;
use crate::sources::slurm::{self, Config, Memory};

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "Slurm",
    section: Section::new(
        "sensor:Slurm",
        "The Slurm cluster, as collect-slurm tells of it; in the config of one agent of the cluster only.",
        &[
            Key::new(TIME_INTERVAL.name, TIME_INTERVAL.kind, Unset::Default("60"), TIME_INTERVAL.help),
            super::ENABLED,
            super::PREFIX,
            slurm::CLUSTER,
            slurm::JOBS_INTERVAL,
            slurm::ACCOUNTS,
            slurm::NODES,
            slurm::DOMAIN,
            slurm::TIMEOUT,
            slurm::SCONTROL,
            slurm::SDIAG,
            slurm::SQUEUE,
        ],
    ),
    measurements: &MEASUREMENTS,
    source: "scontrol, sdiag, squeue",
    is_default: false,
    is_slow: true,
    options,
};

/// How long one reading may take: four commands and a ping, each within its own time.
const LONGEST: u32 = 5;

fn options(values: &Values) -> Result<super::Open> {
    let config = Config::read(values)?;
    Ok(Arc::new(move |node| {
        let path = node.state.as_ref().map(|folder| folder.join(KEPT));
        Box::new(Cluster { config: config.clone(), path, kept: None })
    }))
}

/// The file of the state directory that holds what must last: neither a restart nor a new config may ask for the jobs earlier,
/// and an account that is counted apart stays so.
const KEPT: &str = "qagent.slurm";

/// The most that is read of it, in bytes.
const MOST: u64 = 16 << 20;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    memory: Memory,
    shown: Shown,
}

struct Cluster {
    config: Config,
    /// Where it is kept; `None` if it is not.
    path: Option<PathBuf>,
    /// `None` before the first reading.
    kept: Option<Kept>,
}

impl Cluster {
    /// Returns what was kept. A file that is no good is as none.
    fn recall(&self) -> Kept {
        let bytes = self.path.as_ref().and_then(|path| files::read(path, MOST).ok());
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn remember(&self, kept: &Kept) -> Option<Problem> {
        let written = files::write_json(self.path.as_ref()?, kept);
        let error = written.err()?;
        Some(Problem::of_source(
            "memory of slurm",
            format!("{error:#}; after a restart the jobs are asked for at once"),
        ))
    }
}

impl Reading for Cluster {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let until = Instant::now() + self.config.timeout * LONGEST + Duration::from_secs(2);
        let before = self.kept.take().unwrap_or_else(|| self.recall());
        let mut kept = before.clone();
        let (answer, mut problems) = slurm::collect(&self.config, &mut kept.memory, at.time / SECOND, until);
        let points = answer.cluster.as_ref().map(|cluster| {
            let input = SlurmInput::new(&self.config, cluster, at.time, &answer);
            points(&input, &mut kept.shown).points
        });
        if kept != before {
            problems.extend(self.remember(&kept));
        }
        self.kept = Some(kept);
        Ok(Taken { points: points.unwrap_or_default(), problems })
    }

    fn needs_two(&self) -> bool {
        false
    }
}
