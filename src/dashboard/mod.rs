//! Cloud Monitor's web page, and its data as JSON, TSV, CSV and SVG: read-only, from Graphite or the embedded store.
//!
//! Each page of the dashboard has all routes below `pages/NAME/`, the first one has them without that too.
//!
//! | route | gives |
//! |---|---|
//! | `/` | the page; its query holds what is shown, so that its address can be mailed |
//! | `/tables` | the page's tables alone, for its refresh |
//! | `/json`, `/api/v1/summary` | every grid as it is now |
//! | `/json?paths[]=…`, `/api/v1/history?path=…` | numbers over a time |
//! | `/export` | the same as TSV, or as `format=csv`, `json`, `svg` |
//! | `/plot.svg` | the same drawn |
//! | `/healthz`, `/metrics` | for a monitor |
//! | `/static/…` | what the page needs |
//!
//! Every address in the page is relative, so it works behind a proxy under any prefix.

#[cfg(feature = "dashboard")]
mod cache;
pub mod config;
#[cfg(feature = "dashboard")]
mod metrics;
#[cfg(feature = "dashboard")]
pub mod page;
#[cfg(feature = "dashboard")]
mod question;
#[cfg(feature = "dashboard")]
mod routes;
#[cfg(feature = "dashboard")]
mod serving;
#[cfg(feature = "dashboard")]
mod summary;

pub use self::config::Config;
#[cfg(feature = "dashboard")]
pub use self::routes::Dashboard;
#[cfg(feature = "dashboard")]
pub use self::serving::serve;
#[cfg(feature = "dashboard")]
pub use self::summary::Summary;
