//! The systems that are written, one file each. A sink takes points and knows no source.

pub mod carbon;
pub mod embedded;
#[cfg(feature = "http")]
pub mod graphite;
