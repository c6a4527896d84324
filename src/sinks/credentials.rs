//! `[credentials]`: the login and database that several sinks share.

use anyhow::Result;

use crate::config::{Key, Kind, Section, Unset, Values};

/// `[credentials]`.
pub const SECTION: Section = Section::new(
    "credentials",
    "QMonit's login and database, for InfluxDB and MySQL unless their own sections say otherwise. Alone it selects nothing.",
    &[
        Key::new("username", Kind::Text, Unset::Absent("monit"), OF_CREDENTIALS),
        Key::new("password", Kind::Secret, Unset::Absent("change-me"), OF_CREDENTIALS),
        Key::new("database", Kind::Text, Unset::Absent("monit_jobs"), OF_CREDENTIALS),
    ],
)
.with_free_keys("Other keys of QMonit's config.cfg may stand here too; nothing uses them.", &[]);

const OF_CREDENTIALS: &str = "Login and database of InfluxDB and MySQL, where [influxdb] or [mysql] names none.";

/// The help of a key that `[credentials]` has too.
pub(super) const FROM_CREDENTIALS: &str = "Database and login; default: those of [credentials].";

/// Returns the value of a key in a sink's own section, else in `[credentials]`, and whether it is the former's.
pub(super) fn either(key: &str, values: &Values, credentials: &Values) -> Result<Option<(bool, String)>> {
    let (own, other) = (values.text(key)?, credentials.text(key)?);
    Ok(own.map(|own| (true, own)).or(other.map(|other| (false, other))))
}
