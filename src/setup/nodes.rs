//! Composes the sensors of a node: which run, of which machine, and what one reading of them tells.

use std::any::Any;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Config;
use crate::model::Point;
use crate::monitors::nodes::{Chosen, Moment, Node, Reading, Taken};
use crate::os::work::{catch, side_by_side};
use crate::problem::Problem;
use crate::sources::node::Root;

/// A sensor that is read.
pub struct Running {
    /// The sensor and its options.
    pub chosen: Chosen,
    /// The tag `host` of its points.
    pub host: String,
    reading: Box<dyn Reading>,
}

impl Running {
    /// Reads the sensor. One that fails, or meets a bug of ours, is a problem, and the next tick tries again.
    pub fn read(&mut self, at: Moment) -> Taken {
        let read = catch(|| self.reading.read(at)).flatten();
        read.unwrap_or_else(|error| {
            let problem = Problem::of_sensor(self.chosen.sensor.name, format!("{error:#}"));
            Taken { points: Vec::new(), problems: vec![problem] }
        })
    }

    /// Takes over what an earlier one of the same sensor remembers.
    pub fn adopt(&mut self, old: Box<dyn Any>) {
        if let Ok(old) = old.downcast::<Self>() {
            self.reading.adopt(old.reading);
        }
    }
}

/// Returns the tag `host` of this machine's points. A name that ends with a dot is a whole one: in a Carbon path its dots begin
/// folders (`is_original`).
pub fn host_of(is_original: bool) -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if is_original && name.contains('.') { format!("{name}.") } else { name }
}

/// Makes the readings of the config's sensors, of the machine at `root`. What must last is kept in the folder `state`.
pub fn running(config: &Config, root: &Root, state: Option<&Path>) -> Vec<Running> {
    let open = |chosen: &Chosen| {
        let host = host_of(chosen.is_original);
        let node = Node { root: root.clone(), host: host.clone(), state: state.map(Path::to_path_buf) };
        Running { reading: chosen.open_at(&node), host, chosen: chosen.clone() }
    };
    config.sensors.iter().map(open).collect()
}

/// Reads each sensor twice, `pause` apart, since rates and percentages are made of two readings; returns the second one. One
/// that tells everything at once is read once. `clock` tells the wall clock in unix nanoseconds.
pub fn once(sensors: Vec<Running>, pause: Duration, clock: impl Fn() -> i64 + Sync) -> (Vec<Point>, Vec<Problem>) {
    let began = Instant::now();
    let sensors: Vec<_> = sensors.into_iter().map(Mutex::new).collect();
    let sensor = |at: usize| sensors[at].lock().unwrap_or_else(PoisonError::into_inner);
    let read = |at: usize| sensor(at).read(Moment { time: clock(), running: began.elapsed() });
    side_by_side(sensors.len(), sensors.len(), |at| {
        let needs_two = sensor(at).reading.needs_two();
        needs_two.then(|| read(at))
    });
    thread::sleep(pause);
    let mut all = Taken::default();
    for taken in side_by_side(sensors.len(), sensors.len(), read) {
        all.points.extend(taken.points);
        all.problems.extend(taken.problems.into_iter().filter(|problem| !problem.is_unasked));
    }
    (all.points, all.problems)
}
