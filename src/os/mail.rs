//! Mail through an SMTP server: one message, in one session that ends in time.
//!
//! The session is lettre's, and async is not needed for it: `STARTTLS`, the login, then the message. A server that does not
//! offer encryption gets neither login nor message.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use crate::text::one_line;

/// A message to people: a subject and lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    subject: String,
    text: String,
}

impl Mail {
    /// The longest subject, in bytes.
    const LONGEST_SUBJECT: usize = 150;

    /// Composes a message. Whatever the texts hold, each line stays one line, so that no text can add a header.
    pub fn compose<'a>(subject: &str, lines: impl IntoIterator<Item = &'a str>) -> Self {
        let subject = one_line(subject);
        let cut = subject.floor_char_boundary(Self::LONGEST_SUBJECT);
        let more = if cut < subject.len() { "…" } else { "" };
        let text = lines.into_iter().fold(String::new(), |text, line| text + &one_line(line) + "\n");
        Self { subject: format!("{}{more}", &subject[..cut]), text }
    }
}

/// The server that takes mail, and whose mail goes to whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the session is encrypted by `STARTTLS`, with a verified certificate.
    pub is_encrypted: bool,
    /// Username and password.
    pub login: Option<(String, String)>,
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
}

/// Shows no login.
impl fmt::Debug for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{} from {} to {}", self.host, self.port, self.from, self.to.join(" "))
    }
}

/// Why a message was not sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The server does not have it, so that it may be sent again.
    Rejected(String),
    /// The server may have it: it got all of it, and did not say.
    Unknown(String),
}

impl fmt::Display for Unsent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(why) => out.write_str(why),
            Self::Unknown(why) => write!(out, "{why}; the mail may have been sent"),
        }
    }
}

impl Server {
    /// Sends a message, within `limit`. Returns what the server said of recipients that it refuses while it takes others.
    ///
    /// # Errors
    /// Fails if the server does not take the message for at least one recipient.
    pub fn send(&self, mail: &Mail, limit: Duration) -> Result<Vec<String>, Unsent> {
        backend::talk(self, Some(mail), limit)
    }

    /// Asks the server, within `limit`, whether it would take a message, and sends none.
    ///
    /// # Errors
    /// Fails if it would not, for one of the recipients.
    pub fn check(&self, limit: Duration) -> Result<String> {
        let refusals = backend::talk(self, None, limit).map_err(|error| anyhow::anyhow!("{error}"))?;
        anyhow::ensure!(refusals.is_empty(), "{}", refusals.join("; "));
        let how = if self.is_encrypted { "encrypted" } else { "not encrypted" };
        let login = if self.login.is_some() { "with" } else { "without" };
        Ok(format!("{}:{} takes mail for {}, {how}, {login} login", self.host, self.port, self.to.join(" ")))
    }
}

/// Whether a text can be the address of a person: `user@host`.
pub fn is_address(text: &str) -> bool {
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    text.split_once('@').is_some_and(|(user, host)| {
        is_plain(user) && is_plain(host) && !text.contains(['<', '>', '"', ',', ';', '(', ')']) && !host.contains('@')
    })
}

/// Whether this build sends mail (feature `mail`).
pub const AVAILABLE: bool = cfg!(feature = "mail");

#[cfg(feature = "mail")]
mod backend {
    use std::error::Error as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread;
    use std::time::{Duration, Instant};

    use lettre::message::Message;
    use lettre::message::header::{ContentType, HeaderName, HeaderValue};
    use lettre::transport::smtp::Error;
    use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
    use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
    use lettre::transport::smtp::commands;
    use lettre::transport::smtp::extension::ClientId;
    use lettre::{Address, message::Mailbox};

    use super::{Mail, Server, Unsent};
    use crate::os::files::host_name;
    use crate::text::quote_ends;

    /// How far a session is: who waits may give it up, unless the message is on its way.
    const BEFORE: u8 = 0;
    const ON_ITS_WAY: u8 = 1;
    const GIVEN_UP: u8 = 2;

    /// How long the end of a session may take, after its result is known.
    const FAREWELL: Duration = Duration::from_secs(1);

    /// Sends a message, or only asks whether it would be taken. The session has a thread of its own, which is left behind
    /// if it takes too long: a name server, or a server that sends a byte now and then, has no other limit.
    pub fn talk(server: &Server, mail: Option<&Mail>, limit: Duration) -> Result<Vec<String>, Unsent> {
        let ends = Instant::now() + limit;
        let name = format!("{}:{}", server.host, server.port);
        let named = |unsent| match unsent {
            Unsent::Rejected(why) => Unsent::Rejected(format!("mail server {name}: {why}")),
            Unsent::Unknown(why) => Unsent::Unknown(format!("mail server {name}: {why}")),
        };
        let rejected = |error: anyhow::Error| named(Unsent::Rejected(format!("{error:#}")));
        let message = mail.map(|mail| encode(server, mail)).transpose().map_err(rejected)?;
        let stage = Arc::new(AtomicU8::new(BEFORE));
        let (tell, told) = mpsc::channel();
        let session = {
            let (server, stage) = (server.clone(), stage.clone());
            move || {
                let mut result = None;
                let connection = session(&server, message.as_deref(), limit, &stage, &mut result);
                let _ = tell.send(result.unwrap_or_else(|| Err(Unsent::Rejected("it ended early".into()))));
                // It is the server's turn to hear that this is all.
                if let Some(mut connection) = connection {
                    let _ = connection.set_timeout(Some(FAREWELL));
                    let _ = connection.quit();
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("mail".into()).spawn(session) {
            return Err(named(Unsent::Rejected(format!("no thread for it: {error}"))));
        }
        let late = || format!("no answer within {} s", (limit.as_secs_f64() * 10.0).round() / 10.0);
        let result = match told.recv_timeout(ends.saturating_duration_since(Instant::now())) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(Unsent::Rejected("met a bug of this program".into())),
            Err(RecvTimeoutError::Timeout) => {
                let is_before = stage.compare_exchange(BEFORE, GIVEN_UP, Ordering::SeqCst, Ordering::SeqCst).is_ok();
                Err(if is_before { Unsent::Rejected(late()) } else { Unsent::Unknown(late()) })
            }
        };
        let _ = told.recv_timeout(FAREWELL.min(ends.saturating_duration_since(Instant::now())));
        result.map_err(named)
    }

    /// Returns the message as the server gets it.
    fn encode(server: &Server, mail: &Mail) -> anyhow::Result<Vec<u8>> {
        let mut builder = Message::builder().from(Mailbox::new(None, server.from.parse()?));
        for to in &server.to {
            builder = builder.to(Mailbox::new(None, to.parse()?));
        }
        let builder = builder.subject(&mail.subject).message_id(None).header(ContentType::TEXT_PLAIN);
        let mut message = builder.body(mail.text.clone())?;
        // Nobody's note of absence shall answer.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(automatic, "auto-generated".into()));
        Ok(message.formatted())
    }

    type Outcome = Result<Vec<String>, Unsent>;

    /// Holds a session, and puts its result into `result`; returns the connection if it still stands.
    fn session(
        server: &Server,
        message: Option<&[u8]>,
        limit: Duration,
        stage: &AtomicU8,
        result: &mut Option<Outcome>,
    ) -> Option<SmtpConnection> {
        let mut connection = match prepare(server, limit) {
            Ok(connection) => connection,
            Err(why) => {
                *result = Some(Err(Unsent::Rejected(why)));
                return None;
            }
        };
        let refusals = envelope(server, &mut connection, message.is_some());
        *result = Some(match (refusals, message) {
            (Ok(refusals), Some(message)) => hand_over(&mut connection, message, stage).map(|()| refusals),
            (refusals, _) => refusals.map_err(Unsent::Rejected),
        });
        Some(connection)
    }

    /// Connects, encrypts and logs in.
    fn prepare(server: &Server, limit: Duration) -> Result<SmtpConnection, String> {
        let host = host_name();
        let hello = if host.is_empty() { ClientId::default() } else { ClientId::Domain(host) };
        let place = (server.host.as_str(), server.port);
        let mut connection =
            SmtpConnection::connect(place, Some(limit), &hello, None, None).map_err(|error| explain(&error))?;
        if server.is_encrypted {
            if !connection.can_starttls() {
                return Err("it offers no STARTTLS, so it gets neither login nor mail; with [mail] tls = off a server on this machine does without".into());
            }
            let tls = TlsParameters::new_rustls(server.host.clone());
            let tls = tls.map_err(|error| explain(&error))?;
            connection.starttls(&tls, &hello).map_err(|error| format!("STARTTLS: {}", explain(&error)))?;
        }
        if let Some((username, password)) = &server.login {
            let login = Credentials::new(username.clone(), password.clone());
            let result = connection.auth(DEFAULT_MECHANISMS, &login);
            result.map_err(|error| {
                format!("it refuses the login: {}; check username and password of [mail]", explain(&error))
            })?;
        }
        Ok(connection)
    }

    /// Names sender and recipients. Returns what the server says of those that it refuses.
    fn envelope(server: &Server, connection: &mut SmtpConnection, is_sent: bool) -> Result<Vec<String>, String> {
        let address = |text: &str| text.parse::<Address>().map_err(|error| format!("{text}: {error}"));
        let from = commands::Mail::new(Some(address(&server.from)?), Vec::new());
        connection
            .command(from)
            .map_err(|error| format!("it refuses mail from {}: {}", server.from, explain(&error)))?;
        let mut refusals = Vec::new();
        for to in &server.to {
            match connection.command(commands::Rcpt::new(address(to)?, Vec::new())) {
                Ok(_) => {}
                Err(error) if is_reply(&error) => {
                    refusals.push(format!("it refuses mail to {to}: {}", explain(&error)));
                }
                Err(error) => return Err(explain(&error)),
            }
        }
        if is_sent && refusals.len() == server.to.len() {
            return Err(refusals.join("; "));
        }
        Ok(refusals)
    }

    /// Sends the message itself, unless it was given up.
    fn hand_over(connection: &mut SmtpConnection, message: &[u8], stage: &AtomicU8) -> Result<(), Unsent> {
        connection.command(commands::Data).map_err(|error| Unsent::Rejected(explain(&error)))?;
        if stage.compare_exchange(BEFORE, ON_ITS_WAY, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            connection.abort();
            return Err(Unsent::Rejected("it was given up".into()));
        }
        connection.message(message).map(drop).map_err(|error| {
            let why = explain(&error);
            if is_reply(&error) { Unsent::Rejected(why) } else { Unsent::Unknown(why) }
        })
    }

    /// Whether an error is the server's own answer.
    fn is_reply(error: &Error) -> bool {
        error.is_permanent() || error.is_transient()
    }

    /// Says what went wrong: the server's words, or how the connection failed.
    fn explain(error: &Error) -> String {
        let cause = error.source().map(ToString::to_string).unwrap_or_else(|| error.to_string());
        match error.status() {
            Some(code) => format!("{code} {}", quote_ends(&cause)),
            None => cause,
        }
    }
}

#[cfg(not(feature = "mail"))]
mod backend {
    use std::time::Duration;

    use super::{Mail, Server, Unsent};

    pub fn talk(_: &Server, mail: Option<&Mail>, _: Duration) -> Result<Vec<String>, Unsent> {
        let texts = mail.map(|mail| (&mail.subject, &mail.text));
        debug_assert!(texts.is_none_or(|(subject, _)| !subject.contains('\n')));
        Err(Unsent::Rejected("this program was built without mail; build it with --features mail".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_adds_a_header_or_a_line() {
        let mail = Mail::compose("a\r\nBcc: x@y\nb\u{85}\u{2028}c", ["d\r\n.\r\nMAIL FROM:<x@y>", "e"]);
        assert_eq!(mail.subject, "a  Bcc: x@y b \u{2028}c");
        assert_eq!(mail.text, "d  .  MAIL FROM:<x@y>\ne\n");
        assert!(Mail::compose(&"ü".repeat(500), []).subject.len() <= 153);
    }

    #[test]
    fn an_address_names_a_user_and_a_host_and_nothing_else() {
        assert!(is_address("operators@example.org") && is_address("root@localhost"));
        for text in ["", "root", "a@", "@b", "a@b@c", "a b@c", "A <a@b>", "a@b\r\nBcc: c@d", "a@b,c@d", "ü@b"] {
            assert!(!is_address(text), "{text}");
        }
    }

    #[test]
    fn no_login_is_shown() {
        let login = Some(("u".to_string(), "hunter2".to_string()));
        let (from, to) = ("a@b".into(), vec!["c@d".into()]);
        let server = Server { host: "h".into(), port: 25, is_encrypted: true, login, from, to };
        assert_eq!(format!("{server:?}"), "h:25 from a@b to c@d");
    }
}
