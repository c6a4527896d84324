//! The state of a grid: virtual machines, slots and jobs.

mod arithmetic;
pub mod measurements;

pub use self::arithmetic::{GridInput, points};
pub use self::measurements::MEASUREMENTS;
