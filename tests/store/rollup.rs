//! Roll-ups: what is folded is what the plain reference makes of all raw points.

mod golden;
mod histories;
mod oracle;
mod points;
mod pure;
mod recorded;
