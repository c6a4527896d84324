//! `qmaster agents`: who has said something to this master, and who is silent.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;

use crate::frame::state;
use crate::frame::{complain, print};
use crate::listener::agents::{FILE, remembered};
use crate::setup::qmaster::load;
use crate::sources::agents::status::{AgentRecord, QULO, SILENT};
use crate::text::{Table, ago, count, one_line};

/// The name in messages.
const NAME: &str = "qmaster";

/// Prints the agents, by host.
pub fn list(config: Option<&Path>) -> ExitCode {
    let intake = match load(config) {
        Ok(intake) => intake,
        Err(error) => {
            complain(NAME, &[format!("{error:#}")]);
            return ExitCode::from(2);
        }
    };
    let path = state::directory(intake.setup.state_directory.as_deref()).join(FILE);
    let agents: Vec<_> = match remembered(&path) {
        Ok(agents) => agents.into_values().collect(),
        Err(error) => {
            let message = format!("{error:#}; it is written a minute after the first agent has said something");
            complain(NAME, &[message]);
            return ExitCode::FAILURE;
        }
    };
    let (text, silent) = told(&agents, Timestamp::now().as_second());
    let printed = print(&text);
    if silent > 0 { ExitCode::FAILURE } else { printed }
}

/// Returns the list, and how many are silent.
fn told(agents: &[AgentRecord], now: i64) -> (String, usize) {
    let mut table = Table::new(&["host", "version", "<sensors", "<last word", "<lag", "<backlog", "from"]);
    let mut silent = Vec::new();
    for AgentRecord { status, from, at } in agents {
        let since = (now - at).max(0);
        // QULo's agents say nothing of what waits there, and nothing waits.
        let is_qulos = status.version == QULO;
        let or_dash = |text: String| if is_qulos { "-".into() } else { text };
        table.row(&[
            one_line(&status.host),
            one_line(&status.version),
            status.sensors.len().to_string(),
            format!("{} ago", ago(since)),
            or_dash(ago(i64::try_from(status.lag_seconds).unwrap_or(i64::MAX))),
            or_dash(status.backlog_points.to_string()),
            one_line(from),
        ]);
        if since >= SILENT {
            silent.push(one_line(&status.host));
        }
    }
    let mut text = table.text();
    if !silent.is_empty() {
        text += &format!("{}: {}\n", count(silent.len(), "silent agent"), silent.join(", "));
    }
    (text, silent.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::agents::status::AgentStatus;

    #[test]
    fn silent_agents_are_named() {
        let agent = |host: &str, version: &str, at: i64| {
            let status =
                AgentStatus { host: host.into(), version: version.into(), lag_seconds: 7, ..AgentStatus::default() };
            AgentRecord { status, from: "192.0.2.1".into(), at }
        };
        let agents = [agent("a", "0.1.0", 1_000), agent("b\u{1b}[2J", "0.1.0", 700), agent("c", "QULo", 940)];
        let (text, silent) = told(&agents, 1_000);
        assert_eq!(silent, 1);
        assert_eq!(
            text,
            "host   version  sensors  last word  lag  backlog  from\n\
             a      0.1.0          0    0 s ago  7 s        0  192.0.2.1\n\
             b [2J  0.1.0          0  5 min ago  7 s        0  192.0.2.1\n\
             c      QULo           0   60 s ago    -        -  192.0.2.1\n\
             1 silent agent: b [2J\n"
        );
    }
}
