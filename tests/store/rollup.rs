//! Roll-ups: what is folded is what the plain reference makes of all raw points.

mod oracle;
mod pure;
