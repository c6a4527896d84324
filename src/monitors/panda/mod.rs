//! PanDA's queues: how many jobs each has, and what CRIC says of it.

mod arithmetic;
pub mod averaged;
mod datadisks;
pub mod folded;
mod measurements;
mod original;
pub mod page;
pub mod rules;
pub mod score;
pub mod sums;
pub mod table;

pub use self::arithmetic::{PandaInput, offset, points};
pub use self::datadisks::{DATADISK_MEASUREMENTS, DATADISKS, datadisks, of_hour};
pub use self::measurements::{JOBS, MEASUREMENTS};
pub use self::original::{CAUSES, DATADISK_CAUSES};
pub use self::table::{TABLE, TABLES};
