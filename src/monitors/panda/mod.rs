//! PanDA's queues: how many jobs each has, and what CRIC says of it.

mod arithmetic;
mod datadisks;
mod measurements;
pub mod page;
pub mod score;
pub mod table;

pub use self::arithmetic::{PandaInput, offset, points};
pub use self::datadisks::{DATADISK_MEASUREMENTS, DATADISKS, datadisks};
pub use self::measurements::{JOBS, MEASUREMENTS};
pub use self::table::{TABLE, TABLES};
