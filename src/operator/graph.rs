//! `gridmon-status graph`: a graph of an instance, drawn from its file in rrdtool's format.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::model::{RRD_SPANS, RrdFile, RrdSpan};
use crate::monitors::instances::FILES;
use crate::setup::{CATALOG, Config};
use crate::sinks::rrd::RrdFiles;
use crate::text::quote;

/// The graph that is asked for.
#[derive(Args)]
pub struct Graph {
    /// The instance's UUID, or a part that no other one has
    instance: String,
    /// What of it
    #[arg(value_name = "WHAT", value_parser = FILES.each_ref().map(|file| file.name))]
    file: String,
    /// A day, a week, or a month
    #[arg(value_parser = RRD_SPANS.each_ref().map(|span| span.name))]
    span: String,
    /// Write it here instead of to standard output; a name that ends in .svg makes it SVG instead of PNG
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Graph {
    /// Draws the graph.
    ///
    /// # Errors
    /// Fails if `[rrd]` names no directory, if it has no such file, or if the picture cannot be written.
    pub fn run(&self, config: &Config, now: i64) -> Result<ExitCode> {
        let rrd = config.rrd.clone().context("[rrd] directory is not set, so there are no files to draw from")?;
        ensure!(
            self.output.is_some() || !io::stdout().is_terminal(),
            "a picture is nothing for a terminal: name a file with --output"
        );
        let files = RrdFiles { config: rrd, catalog: CATALOG, now, is_made: false };
        let (file, span) = self.declared();
        let series = self.series(&files)?;
        let shown = format!("{}/{series}/{}.rrd", files.config.directory.display(), file.name);
        let graph = files.graph(&series, file, span)?.with_context(|| format!("{shown} does not exist"))?;
        let is_svg = self.output.as_ref().is_some_and(|path| path.extension().is_some_and(|end| end == "svg"));
        let picture = if is_svg { graph.svg().into_bytes() } else { graph.png()? };
        match &self.output {
            Some(path) => fs::write(path, picture).with_context(|| path.display().to_string())?,
            None => io::stdout().write_all(&picture).context("standard output")?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns the file and the span, which the flags have checked.
    fn declared(&self) -> (&'static RrdFile, &'static RrdSpan) {
        let file = FILES.iter().find(|file| file.name == self.file).unwrap_or(&FILES[0]);
        (file, RRD_SPANS.iter().find(|span| span.name == self.span).unwrap_or(&RRD_SPANS[0]))
    }

    /// Returns the name of the only folder that the name fits.
    fn series(&self, files: &RrdFiles) -> Result<String> {
        let all = files.series()?;
        let fits = all.iter().filter(|name| **name == self.instance);
        let fits: Vec<_> = match fits.count() {
            0 => all.iter().filter(|name| name.contains(&self.instance)).collect(),
            _ => vec![&self.instance],
        };
        match fits.as_slice() {
            [one] => Ok((*one).clone()),
            [] => bail!("{} has no folder of {}", files.config.directory.display(), quote(&self.instance)),
            several => bail!("{} fits {} instances: give more of it", quote(&self.instance), several.len()),
        }
    }
}
