//! One connection to libvirtd, over its read-only socket. Every wait has an end.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::message::{self, Procedure, Refusal};
use crate::os::process::Identity;
use crate::text::quote_ends;

/// Why a call has no reply.
#[derive(Debug)]
pub enum Failure {
    /// It did not come in time. The call may still hold one of libvirtd's workers.
    TimedOut(Duration),
    /// libvirtd refused.
    Refused(Refusal),
    /// There is no libvirtd, it went, or it is something else.
    Gone(anyhow::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(after) => write!(out, "no answer in {:.0} s", after.as_secs_f64().ceil()),
            Self::Refused(Refusal { code, message }) => {
                write!(out, "libvirt error {code}: {}", quote_ends(message))
            }
            Self::Gone(error) => write!(out, "{error:#}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Gone(error)
    }
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    serial: u32,
    timeout: Duration,
}

/// The ways in which a client may have to prove itself.
const NONE: i32 = 0;
const POLKIT: i32 = 2;

/// How much is read at once.
const PIECE: usize = 64 << 10;

impl Client {
    /// Connects and opens the hypervisor for reading. Each call may take `timeout`, and none longer than `until`.
    ///
    /// # Errors
    /// Fails if libvirtd does not answer or wants a password.
    pub fn open(socket: &Path, timeout: Duration, until: Instant) -> Result<Self, Failure> {
        let stream = connected(socket)?;
        let mut client = Self { stream, serial: 0, timeout };
        let ways = message::read_auth_list(&client.call(Procedure::AuthList, &[], until)?)?;
        if ways.contains(&POLKIT) && !ways.contains(&NONE) {
            client.call(Procedure::AuthPolkit, &[], until).map_err(|failure| match failure {
                Failure::Refused(Refusal { message, .. }) => Failure::Gone(anyhow::anyhow!(
                    "polkit lets this user not in: {}; run it as root, or set auth_unix_ro = \"none\" in libvirtd.conf",
                    quote_ends(&message)
                )),
                other => other,
            })?;
        } else if !ways.is_empty() && !ways.contains(&NONE) {
            return Err(Failure::Gone(anyhow::anyhow!(
                "libvirtd wants a password (SASL) on this socket, which this program does not know; set auth_unix_ro = \"none\" in libvirtd.conf"
            )));
        }
        client.call(Procedure::Open, &message::open(), until)?;
        Ok(client)
    }

    /// Returns the process that serves the socket; `None` if it is not seen from here, as from another container.
    ///
    /// The kernel names the process that listened last when we connected. Under systemd's socket activation that is systemd, or
    /// the libvirtd before, until the one that our connection has started listens too; it has, once it answers. So who is no
    /// longer there, and the first process of all, are asked for once more.
    pub fn daemon(&self, socket: &Path) -> Option<Identity> {
        let listener = |stream: &UnixStream| Identity::of(socket_peercred(stream).ok()?.pid.as_raw_pid()).ok();
        listener(&self.stream).filter(|found| found.pid != 1).or_else(|| listener(&connected(socket).ok()?))
    }

    /// Calls a procedure; returns the body of the reply. After a failure other than [`Failure::Refused`] the connection is
    /// of no use.
    ///
    /// # Errors
    /// As [`Failure`].
    pub fn call(&mut self, procedure: Procedure, body: &[u8], until: Instant) -> Result<Vec<u8>, Failure> {
        let began = Instant::now();
        let until = until.min(began + self.timeout);
        self.serial += 1;
        let frame = message::call(procedure, self.serial, body);
        let done = self.send(&frame, until).and_then(|()| self.receive(until));
        done.map_err(|failure| match failure {
            Failure::TimedOut(_) => Failure::TimedOut(until.saturating_duration_since(began)),
            other => other,
        })
    }

    /// Takes leave, without waiting for a word.
    pub fn close(mut self) {
        self.serial += 1;
        let _ =
            self.send(&message::call(Procedure::Close, self.serial, &[]), Instant::now() + Duration::from_millis(10));
    }

    fn send(&mut self, mut frame: &[u8], until: Instant) -> Result<(), Failure> {
        while !frame.is_empty() {
            self.stream.set_write_timeout(Some(left(until)?)).map_err(gone)?;
            match self.stream.write(frame) {
                Ok(0) => return Err(gone(ErrorKind::WriteZero.into())),
                Ok(sent) => frame = &frame[sent..],
                Err(error) => retry(error)?,
            }
        }
        Ok(())
    }

    /// Receives messages up to the reply to the last call; events, keep-alives and late replies are passed over.
    fn receive(&mut self, until: Instant) -> Result<Vec<u8>, Failure> {
        loop {
            let mut first = [0; 4];
            self.read(&mut first, until)?;
            let mut missing = message::length(first)? - first.len();
            // Grows with what arrives, not with what was told.
            let mut message = Vec::new();
            while missing > 0 {
                let have = message.len();
                message.resize(have + missing.min(PIECE), 0);
                self.read(&mut message[have..], until)?;
                missing -= message.len() - have;
            }
            let (header, body) = message::split(&message)?;
            if !header.is_reply || header.serial != self.serial {
                continue;
            }
            if header.is_error {
                return Err(Failure::Refused(message::refusal(body)?));
            }
            return Ok(body.to_vec());
        }
    }

    fn read(&mut self, mut into: &mut [u8], until: Instant) -> Result<(), Failure> {
        while !into.is_empty() {
            self.stream.set_read_timeout(Some(left(until)?)).map_err(gone)?;
            match self.stream.read(into) {
                Ok(0) => {
                    return Err(Failure::Gone(anyhow::anyhow!("libvirtd closed the connection; was it restarted?")));
                }
                Ok(count) => into = &mut into[count..],
                Err(error) => retry(error)?,
            }
        }
        Ok(())
    }
}

fn left(until: Instant) -> Result<Duration, Failure> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Failure::TimedOut(left)) } else { Ok(left) }
}

/// Whether to go on after an error: a signal ends no call.
fn retry(error: std::io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(Failure::TimedOut(Duration::ZERO)),
        _ => Err(gone(error)),
    }
}

fn gone(error: std::io::Error) -> Failure {
    Failure::Gone(anyhow::anyhow!("the connection to libvirtd broke: {error}; was it restarted?"))
}

/// Connects without waiting: a daemon that is stopped accepts nobody, and connections queue up until there is no room.
fn connected(path: &Path) -> Result<UnixStream, Failure> {
    let failed = |error: Errno| Failure::Gone(explain(path, error));
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
    connect(&socket, &address).map_err(failed)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false).map_err(gone)?;
    Ok(stream)
}

fn explain(path: &Path, error: Errno) -> anyhow::Error {
    let remedy = match error {
        Errno::NOENT => {
            "libvirtd does not run, or listens elsewhere (virtqemud: /run/libvirt/virtqemud-sock-ro); start it, or set [libvirt] socket"
        }
        Errno::CONNREFUSED => "libvirtd does not run; start it",
        Errno::ACCESS => "run it as root, or as a user of the group that unix_sock_group in libvirtd.conf names",
        Errno::AGAIN => "libvirtd does not take connections any more: it is stopped or hangs; restart it",
        Errno::NAMETOOLONG | Errno::INVAL => "a socket's path has at most 107 bytes; set [libvirt] socket",
        _ => "is libvirtd running?",
    };
    anyhow::anyhow!("{}: {}; {remedy}", path.display(), std::io::Error::from(error))
}
