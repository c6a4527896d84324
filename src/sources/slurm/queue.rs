//! The jobs: `squeue` with the bytes 0x1F and 0x1E between values and records, since all others occur in names.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};

use crate::text::quote;

/// State, partition and account.
pub const FORMAT: &str = "%T\u{1f}%P\u{1f}%a\u{1e}";

/// The end of a record.
pub const END: u8 = 0x1e;

/// The number of jobs in each group.
pub type Jobs = BTreeMap<JobGroup, i64>;

/// What the jobs of a group have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobGroup {
    /// The state in lower case: `pending`, `running` …
    pub state: String,
    /// The partition; of a pending job that names several, the first one.
    pub partition: String,
    /// The account; `none` if the job has none.
    pub account: String,
}

/// The most groups, so that memory does not grow with what a foreign program prints.
const MOST_GROUPS: usize = 50_000;

/// Counts jobs while they are listed: memory grows with the groups, not with the jobs.
#[derive(Debug, Default)]
pub struct Counter {
    records: HashMap<Box<[u8]>, i64>,
}

impl Counter {
    /// Counts a record.
    ///
    /// # Errors
    /// Fails if there are too many groups.
    pub fn add(&mut self, record: &[u8]) -> Result<()> {
        // squeue ends each record with a line feed.
        let record = record.strip_prefix(b"\n").unwrap_or(record);
        if let Some(jobs) = self.records.get_mut(record) {
            *jobs += 1;
            return Ok(());
        }
        ensure!(
            self.records.len() < MOST_GROUPS,
            "lists jobs in over {MOST_GROUPS} groups of state, partition and account"
        );
        self.records.insert(record.into(), 1);
        Ok(())
    }

    /// Returns the jobs by group.
    ///
    /// # Errors
    /// Fails if a record is not of three values, or lacks its state or partition: squeue prints a column that it does not know
    /// as an empty one.
    pub fn finish(self) -> Result<Jobs> {
        let mut records: Vec<_> = self.records.into_iter().collect();
        // Sorted, so that the error names the same bad record each time.
        records.sort_unstable();
        let mut jobs = Jobs::new();
        for (record, count) in records {
            let text = String::from_utf8_lossy(&record);
            let values: Vec<_> = text.split('\u{1f}').collect();
            let [state, partitions, account] = values.as_slice() else {
                anyhow::bail!("lists a job that is not of state, partition and account: {}", quote(&text));
            };
            let partition = partitions.split(',').next().unwrap_or_default().trim_end_matches('*');
            ensure!(
                !state.is_empty() && !partition.is_empty(),
                "lists a job without state or partition: {}",
                quote(&text)
            );
            let account = if matches!(*account, "" | "(null)") { "none" } else { account };
            let group =
                JobGroup { state: state.to_ascii_lowercase(), partition: partition.into(), account: account.into() };
            *jobs.entry(group).or_default() += count;
        }
        Ok(jobs)
    }
}
