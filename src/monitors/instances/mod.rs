//! Instances: from libvirt's counters to rates. Pure.

mod arithmetic;
mod base;
mod files;
mod measurements;
mod original;
pub mod page;
pub mod rules;
#[cfg(test)]
mod tests;

pub use self::arithmetic::{InstancesInput, points};
pub use self::base::{Bases, Moment};
pub use self::files::FILES;
pub use self::measurements::{INSTANCE, INSTANCE_BLOCK, INSTANCE_HOST, INSTANCE_NET, MEASUREMENTS};
pub use self::original::CAUSES;
