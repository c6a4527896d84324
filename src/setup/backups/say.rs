//! Says what is new: by mail, or on standard error.

use std::time::Instant;

use super::super::Config;
use super::{FOR_MAIL, MEMORY, PROGRAM};
use crate::frame::{Run, complain};
use crate::monitors::backups::alarms::Notice;
use crate::monitors::backups::memory::{Letter, Memory};
use crate::os::files::host_name;
use crate::os::mail::{Mail, Server, Unsent};
use crate::problem::{Problem, Subject};

/// Returns the line that says a notice.
pub fn line(notice: &Notice) -> String {
    let Notice { hub, node, set, text, .. } = notice;
    let set = set.as_ref().map(|set| format!(" {set}")).unwrap_or_default();
    format!("{hub} {node}{set}: {text}")
}

/// Says what is to be said: by mail if the config names a mail server, else on standard error. Keeps what the server did not
/// take for sure.
///
/// That a letter is handed over is written down before it is: one that a killed run was sending is not mailed again, because the
/// server may have it, and stands on standard error, because it may not. So nothing is mailed while nothing can be written down:
/// `is_kept` is whether `memory` stands in the state directory. A letter of which the server does not say whether it has it stands
/// there too.
pub fn say(run: &Run<Config>, memory: &mut Memory, is_kept: bool) {
    let server = run.config.mail.as_ref().filter(|_| is_kept && run.is_live());
    let (unsure, letters): (Vec<_>, Vec<_>) =
        std::mem::take(&mut memory.letters).into_iter().partition(|letter| letter.is_handed);
    let mut lines: Vec<_> =
        unsure.iter().flat_map(|letter| unsure_lines(letter, "a run was killed while it mailed this")).collect();
    if server.is_none() {
        lines.extend(letters.iter().flat_map(Letter::text));
    } else {
        memory.letters = letters;
    }
    complain(PROGRAM, &lines);
    let Some(server) = server.filter(|_| !memory.letters.is_empty()) else { return run.unasked(Subject::Mail) };
    run.ask("mail", || {
        let mut problems = Vec::new();
        let mut at = 0;
        while at < memory.letters.len() {
            memory.letters[at].is_handed = true;
            if !run.is_remembered(MEMORY, memory) {
                memory.letters[at].is_handed = false;
                break;
            }
            let said = match post(run, server, &memory.letters[at]) {
                Err(Unsent::Rejected(why)) => {
                    memory.letters[at].is_handed = false;
                    at += 1;
                    vec![format!("{why}; the next run sends it")]
                }
                Err(unsure) => {
                    let letter = memory.letters.remove(at);
                    let lines: Vec<_> =
                        unsure_lines(&letter, "the mail server did not say whether it has this").collect();
                    complain(PROGRAM, &lines);
                    vec![unsure.to_string()]
                }
                Ok(refusals) => {
                    memory.letters.remove(at);
                    refusals
                }
            };
            problems.extend(said.into_iter().map(|said| Problem::new(Subject::Mail, said)));
        }
        (Some(()), problems)
    });
}

/// Returns the lines of a letter that may have arrived or not.
fn unsure_lines<'a>(letter: &'a Letter, why: &'a str) -> impl Iterator<Item = String> + 'a {
    letter.text().map(move |line| format!("{line}; {why}"))
}

/// Mails a letter. Returns what the server said of recipients that it refuses.
fn post(run: &Run<Config>, server: &Server, letter: &Letter) -> Result<Vec<String>, Unsent> {
    let server = match letter.to.as_slice() {
        [] => server.clone(),
        to => Server { to: to.to_vec(), ..server.clone() },
    };
    let origin = format!("[gridmon {}] {PROGRAM} on {}", run.config.grid.name, host_name());
    let limit = FOR_MAIL.min(run.until.saturating_duration_since(Instant::now()));
    let links = letter.links.iter().map(|link| format!("See {link}"));
    let text: Vec<_> = letter.text().chain(links).collect();
    let mail = Mail::compose(&format!("{origin}: {}", letter.subject()), text.iter().map(String::as_str));
    server.send(&mail, limit)
}
