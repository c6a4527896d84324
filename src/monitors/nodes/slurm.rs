//! `[sensor:Slurm]`: the Slurm cluster, from one node that may ask. The measurements are those of collect-slurm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::sensor::{Moment, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::{Key, Section, Unset, Values};
use crate::model::SECOND;
use crate::monitors::slurm::{MEASUREMENTS, Shown, SlurmInput, points};
use crate::sources::slurm::{self, Config, Memory};

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "Slurm",
    section: Section::new(
        "sensor:Slurm",
        "The Slurm cluster, as collect-slurm tells of it; in the config of one agent of the cluster only.",
        &[
            Key::new(TIME_INTERVAL.name, TIME_INTERVAL.kind, Unset::Default("60"), TIME_INTERVAL.help),
            super::PREFIX,
            slurm::CLUSTER,
            slurm::JOBS_INTERVAL,
            slurm::ACCOUNTS,
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
    Ok(Arc::new(move |_| {
        Box::new(Cluster { config: config.clone(), memory: Memory::default(), shown: Shown::default() })
    }))
}

struct Cluster {
    config: Config,
    memory: Memory,
    shown: Shown,
}

impl Reading for Cluster {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let until = Instant::now() + self.config.timeout * LONGEST + Duration::from_secs(2);
        let (answer, problems) = slurm::collect(&self.config, &mut self.memory, at.time / SECOND, until);
        let Some(cluster) = &answer.cluster else { return Ok(Taken { points: Vec::new(), problems }) };
        let input = SlurmInput { cluster, time: at.time, accounts: self.config.accounts, answer: &answer };
        Ok(Taken { points: points(&input, &mut self.shown).points, problems })
    }
}
