//! Cloud Monitor's web page, and its data as JSON, TSV, CSV and SVG: read-only, from Graphite or the embedded store.
//!
//! Each page has all routes below `pages/NAME/`; the first page has them at the root too.
//!
//! | route | returns |
//! |---|---|
//! | `/` | the page; its query holds all choices, so that the address can be mailed |
//! | `/tables` | the tables of the page alone, for its refresh |
//! | `/json`, `/api/v1/summary` | the newest numbers of every grid |
//! | `/json?paths[]=…`, `/api/v1/history?path=…` | numbers over a range of time |
//! | `/export` | the same as TSV, or as `format=csv`, `json`, `svg` |
//! | `/plot.svg`, `/plot.png` | the same as a plot |
//! | `/help/` | what columns mean, what shapes and keys do |
//! | `/events/` | what happened, as a page; its query holds the range |
//! | `/api/v1/problems`, `/api/v1/events` | what is wrong now; what happened, as JSON or `format=csv` |
//! | `/federate` | the newest value of every series for Prometheus |
//! | `/healthz`, `/metrics` | `ok` or the problem; counts for Prometheus |
//! | `/static/…` | the scripts and styles of the page |
//!
//! Every address in the page is relative, so it works behind a proxy under any prefix.

#[cfg(feature = "dashboard")]
mod aside;
#[cfg(feature = "dashboard")]
mod bars;
#[cfg(feature = "dashboard")]
mod cache;
pub mod config;
#[cfg(feature = "dashboard")]
mod day;
#[cfg(feature = "dashboard")]
mod elsewhere;
#[cfg(feature = "dashboard")]
mod federate;
#[cfg(feature = "dashboard")]
mod happenings;
#[cfg(feature = "dashboard")]
mod lanes;
#[cfg(feature = "dashboard")]
mod metrics;
#[cfg(feature = "dashboard")]
pub mod page;
#[cfg(feature = "dashboard")]
mod question;
#[cfg(feature = "dashboard")]
mod room;
#[cfg(feature = "dashboard")]
mod routes;
#[cfg(feature = "dashboard")]
mod serving;
#[cfg(feature = "dashboard")]
mod summary;
#[cfg(feature = "dashboard")]
mod troubles;
#[cfg(feature = "dashboard")]
mod turns;
#[cfg(feature = "dashboard")]
mod watch;

pub use self::config::Config;
#[cfg(feature = "dashboard")]
pub use self::routes::Dashboard;
#[cfg(feature = "dashboard")]
pub use self::serving::serve;
#[cfg(feature = "dashboard")]
pub use self::summary::Summary;
#[cfg(feature = "dashboard")]
pub use self::troubles::Place;
