//! Grids: HTCondor's pools and the clouds that Cloud Scheduler boots machines on.

pub mod page;
