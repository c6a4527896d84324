//! What a store does to be folded.

use anyhow::Result;

use crate::model::{Catalog, Measurement, Point, Tier, Window};
use crate::query::{Scan, Selector};
use crate::rollup::{Begins, Folded, source};

/// A store that folds its points into its own coarser tiers.
pub trait Tiers {
    /// Returns the name of its sink.
    fn name(&self) -> &'static str;

    /// Returns its reader.
    fn reader(&self) -> &dyn Scan;

    /// Returns the measurements that are declared.
    fn catalog(&self) -> Catalog;

    /// Calls `each` with the points of a tier that `selector` and `window` select, declared; beside a folded value its parts
    /// ([`crate::rollup::PARTS`]) as more fields, as far as the store knows them.
    ///
    /// # Errors
    /// Fails if the store cannot be read, or if `each` fails.
    fn each(
        &self,
        selector: &Selector,
        window: Window,
        tier: Tier,
        each: &mut dyn FnMut(Point) -> Result<()>,
    ) -> Result<()>;

    /// Replaces the values of a day's points that their hours do not give in this store. `begin` is when the coverage of
    /// the measurement begins in the hours.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    fn complete_day(&self, _: &'static Measurement, _: Window, _: Option<i64>, _: &mut [Folded]) -> Result<()> {
        Ok(())
    }

    /// Returns a folded point as it is written.
    fn written(&self, _: &'static Measurement, folded: Folded) -> Point {
        folded.point
    }

    /// Returns the measurements that it folds; `None` for all.
    fn measurements(&self) -> Option<Vec<String>>;

    /// Returns when the coverage of each measurement begins in a tier.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    fn begins(&self, tier: Tier) -> Result<Begins>;

    /// Returns the time of a point of a tier, in nanoseconds, or of the time of a bucket, before which the tier has none
    /// from `from` on; `None` if it has none at all.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    fn next(&self, tier: Tier, from: i64) -> Result<Option<i64>>;

    /// Returns the time from which on a tier keeps its points, in nanoseconds, as of `now` in unix seconds; `None` if it
    /// keeps all.
    ///
    /// # Errors
    /// Fails if the store cannot tell.
    fn oldest_kept(&self, tier: Tier, now: i64) -> Result<Option<i64>>;

    /// Folds the points of a window into `tier`. Returns the number of points.
    ///
    /// # Errors
    /// Fails if the store cannot be read or written, or if [`Task::go_on`] does. Part of the window may be written;
    /// folding it again is harmless.
    fn fold(&self, tier: Tier, window: Window, task: &mut Task) -> Result<usize>;

    /// Whether a tier has a point at a label, in nanoseconds, that stands for some slot.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    fn has(&self, tier: Tier, label: i64) -> Result<bool>;

    /// Deletes the points of a tier at a label, in nanoseconds, or makes them points of no slot. Returns their number.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    fn delete(&self, tier: Tier, label: i64) -> Result<usize>;
}

/// How a window is folded.
pub struct Task<'a> {
    /// When the coverage of each measurement begins in the finer tier.
    pub begins: &'a Begins,
    /// The grid of series that name none.
    pub grid: &'a str,
    /// Whether it is folded again: what it has no more is removed.
    pub is_refold: bool,
    /// Whether windows are folded that an older system has folded.
    pub before_coverage: bool,
    /// Called between any two writes; its error ends the fold.
    pub go_on: &'a dyn Fn() -> Result<()>,
    /// Whether the points that are shown have their parts as fields, also where the store has columns for them.
    pub shows_parts: bool,
    /// Takes the points instead of the store.
    pub show: Option<&'a mut dyn FnMut(Point) -> Result<()>>,
}

impl Task<'_> {
    /// Whether a measurement is folded into a window of `tier`. Those that an older system has folded are not before their
    /// coverage begins: what stands there is that system's.
    pub fn folds(&self, tier: Tier, measurement: &Measurement, window: Window) -> bool {
        let (_, times) = source(tier, window);
        let is_covered = || self.begins.of(measurement.name).is_some_and(|begin| times.to > begin);
        self.before_coverage || measurement.exact.is_none() || is_covered()
    }
}
