//! Grids: HTCondor's pools and the clouds that Cloud Scheduler boots machines on.

mod arithmetic;
mod measurements;
pub mod page;

pub use self::arithmetic::{GridInput, points};
pub use self::measurements::MEASUREMENTS;
