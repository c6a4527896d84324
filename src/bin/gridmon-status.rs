//! Shows the backlog, the last runs and the failures; flushes, shows and discards batches.

use std::process::ExitCode;

fn main() -> ExitCode {
    gridmon::operator::flags::run()
}
