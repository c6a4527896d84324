//! Grids: HTCondor pools and the clouds on which Cloud Scheduler boots machines.

mod arithmetic;
mod csv2;
mod measurements;
mod original;
pub mod page;
pub mod rules;

pub use self::arithmetic::{GridInput, points};
pub use self::measurements::MEASUREMENTS;
pub use self::original::CAUSES;
