//! The graphs of files: which there are, up to when each reaches, and the rows that it shows.

use anyhow::{Context, Result};

use super::file::Rrd;
use super::layout::Cf;
use super::{RrdFiles, fault};
use crate::model::{RRD_SPANS, RrdFile, RrdSpan};
use crate::view::graph::Graph;

impl RrdFiles {
    /// Returns the names of the series that have a folder, sorted.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn series(&self) -> Result<Vec<String>> {
        let name = |folder: &std::path::PathBuf| Some(folder.file_name()?.to_str()?.to_string());
        Ok(self.folders()?.iter().filter_map(name).collect())
    }

    /// Returns the end of the newest row of each span, in unix seconds, in the order of [`RRD_SPANS`]; `None` if there is no
    /// such file.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or is not one of these.
    pub fn newest(&self, series: &str, declared: &RrdFile) -> Result<Option<Vec<i64>>> {
        let Some(rrd) = self.opened(series, declared)? else { return Ok(None) };
        let ends = RRD_SPANS.iter().map(|span| archive(&rrd, span).map(|at| rrd.newest(at)));
        ends.collect::<Result<_>>().map(Some)
    }

    /// Returns what a graph shows; `None` if there is no such file.
    ///
    /// # Errors
    /// As [`RrdFiles::newest`].
    pub fn graph(&self, series: &str, declared: &'static RrdFile, span: &'static RrdSpan) -> Result<Option<Graph>> {
        let Some(rrd) = self.opened(series, declared)? else { return Ok(None) };
        let at = archive(&rrd, span)?;
        let end = rrd.newest(at);
        let shown = (end - span.begin(end)) / span.row_seconds();
        let values = rrd.rows(at, usize::try_from(shown).unwrap_or_default())?;
        Ok(Some(Graph { series: series.into(), file: declared, span, end, values }))
    }

    fn opened(&self, series: &str, declared: &RrdFile) -> Result<Option<Rrd>> {
        let path = self.path(series, declared);
        let shown = || path.display().to_string();
        let rrd = Rrd::open_to_read(&path).with_context(shown)?;
        let wrong = rrd.as_ref().and_then(|rrd| fault(&rrd.definition, declared, &path));
        wrong.map_or(Ok(rrd), |wrong| Err(anyhow::anyhow!("{} {wrong}", shown())))
    }
}

/// Returns the number of the archive that a span is drawn from.
fn archive(rrd: &Rrd, span: &RrdSpan) -> Result<usize> {
    let step = rrd.definition.step;
    let is_it = |steps: u64| steps.checked_mul(step) == Some(span.row_seconds().unsigned_abs());
    let found = rrd.definition.archives.iter().position(|one| one.fold == Cf::Average && is_it(one.steps));
    found.with_context(|| format!("has no means of {} s, of which {} is drawn", span.row_seconds(), span.name))
}
