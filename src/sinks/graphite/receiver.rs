//! Talks to Carbon's pickle receiver, and proves that one is there.
//!
//! A receiver never answers: that it closes the connection is all it says. Others close too, so a close counts only if
//! nothing else explains it:
//!
//! - *Whoever reads* closes after our end: a line receiver, a relay for lines, a web server. Only a pickle receiver closes
//!   before our end when it is told a length that no message may have. Tried on carbon-cache and carbon-relay 1.1.7, also
//!   behind haproxy 2.6 and socat 1.7; by their code so do go-carbon (limit 64 MiB, `max-message-size`) and carbon-relay-ng
//!   (500 MB, since June 2018; before, it waits for the message). Only the length is sent, so nobody makes room for a message, and
//!   nothing is stored. Carbon logs the connection, and no error.
//! - *A proxy whose Carbon is down* closes every connection, at once (socat, haproxy with health checks) or after it has
//!   tried again (haproxy, 3 s). So our end, and the wrong length, follow only after the connection has stayed open for a
//!   while; and after an acknowledgement that comes late the receiver proves itself again.
//! - *Carbon's query port*, and others that begin with a length, close when they read a message of ours. On a busy machine
//!   they may read it only after our end, or after the wrong length; so a proof begins with a message without datapoints,
//!   and the first time it must succeed twice, the second time over a longer wait.
//!
//! A relay that has read everything acknowledges, whatever becomes of it then. This cannot be seen from here.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::carbon::{Acknowledge, Config, Frames};
use crate::model::Datapoint;
use crate::os::files;
use crate::sinks::NeverTaken;
use crate::sinks::tcp::{self, Timeout};

/// For how long a connection must stay open before our end.
pub(super) const OPEN: Duration = Duration::from_millis(50);

/// For how long it must stay open before a wrong length, at first.
const OPEN_FOR_PROOF: Duration = Duration::from_millis(100);

/// How much longer the connection must stay open in the second proof than in the first.
const SECOND_PROOF: u32 = 2;

/// The longest addition to them for a receiver that is far away.
const LONGEST_WAY: Duration = Duration::from_secs(1);

/// What a receiver may take from our end to its own, and for each datapoint before it (measured: 10 to 20 µs).
const PROMPT: (Duration, Duration) = (Duration::from_millis(2), Duration::from_micros(50));

/// How long a receiver may take to close the connection on a wrong length. haproxy takes 3 s when its Carbon is down.
const PATIENCE: Duration = Duration::from_secs(4);

/// A length beyond every limit, still positive for those who read it with a sign.
const WRONG_LENGTH: [u8; 4] = 0x7fff_ffff_u32.to_be_bytes();

/// A message without datapoints, with its length in front.
const EMPTY_MESSAGE: &[u8] = b"\0\0\0\x06\x80\x02](e.";

/// The error of an exchange that the other side ends.
#[derive(Debug)]
struct ClosedEarly;

impl fmt::Display for ClosedEarly {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("it closed the connection before the end; is it a proxy whose Carbon is down?")
    }
}

impl std::error::Error for ClosedEarly {}

/// The receiver, as a run knows it.
#[derive(Debug)]
pub struct Receiver {
    /// The state file that says which config's receiver has proved itself.
    proof: PathBuf,
    /// A checksum of `[carbon]`.
    fingerprint: String,
    run: Mutex<Progress>,
}

/// What a run has had of the receiver.
#[derive(Debug, Default)]
struct Progress {
    has_acknowledged: bool,
    /// A connection for the next batch, opened before the receiver acknowledged the last one. A proxy closes it when Carbon
    /// goes, so it need not show again that it stays open.
    next: Option<(TcpStream, Duration)>,
}

impl Receiver {
    /// Creates the receiver of `config`, whose proof is kept in the `state` directory.
    pub fn new(config: &Config, state: &Path) -> Self {
        let Config { host, port, acknowledge, timeout_seconds, .. } = config;
        let keys = format!("{host} {port} {acknowledge:?} {timeout_seconds}");
        let fingerprint = format!("{:08x}\n", crc32fast::hash(keys.as_bytes()));
        Self { proof: state.join("carbon.receiver"), fingerprint, run: Mutex::default() }
    }

    fn is_known(&self) -> bool {
        files::read(&self.proof, 64).is_ok_and(|known| known == self.fingerprint.as_bytes())
    }

    fn remember(&self) {
        // If it cannot be written, the next run has the receiver prove itself again.
        let _ = files::write(&self.proof, self.fingerprint.as_bytes());
    }

    /// Sends `datapoints`, waits until the receiver has closed the connection, and believes it only if it has proved to be
    /// a pickle receiver, now or earlier with the same config.
    ///
    /// # Errors
    /// Fails if any step fails or takes too long, or if no pickle receiver is there.
    pub(super) fn send(&self, config: &Config, datapoints: &[Datapoint], timeout: &Timeout) -> Result<()> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = run.next.take().filter(|(stream, _)| is_open(stream));
        let is_known = self.is_known();
        let is_trusted = is_known && ready.is_some();
        let sent = (|| {
            let connection = ready.map_or_else(|| connect(config, timeout), Ok)?;
            if run.has_acknowledged {
                run.next = connect(config, timeout).ok();
            }
            exchange_on(connection, config, datapoints, if is_trusted { Duration::ZERO } else { OPEN }, timeout)
        })();
        match sent.with_context(|| name(config)) {
            // A close that comes late need not be the answer to our end.
            Ok(close) if is_trusted || (is_known && close.after <= close.prompt) => {}
            Ok(_) => {
                prove(config, if is_known { 1 } else { 2 }, timeout)?;
                if !is_known {
                    self.remember();
                }
            }
            Err(error) if is_known && run.has_acknowledged && is_broken_off(&error) => {
                return Err(self.judge(config, datapoints, timeout, error));
            }
            // A line port does this when a line is too long for it.
            Err(error) if !is_known && error.is::<ClosedEarly>() => return prove(config, 1, timeout).and(Err(error)),
            Err(error) => return Err(error),
        }
        run.has_acknowledged = true;
        Ok(())
    }

    /// Finds out whether `datapoints` are themselves the cause of `error`, or else the way there: the receiver must prove
    /// itself, break off again with the same points, and prove itself once more.
    fn judge(
        &self,
        config: &Config,
        datapoints: &[Datapoint],
        timeout: &Timeout,
        error: anyhow::Error,
    ) -> anyhow::Error {
        let is_there = || prove(config, 1, timeout).is_ok();
        let breaks_off = || exchange(config, datapoints, OPEN, timeout).is_err_and(|again| is_broken_off(&again));
        if is_there() && breaks_off() && is_there() {
            return NeverTaken(format!("{error:#}; with nothing else it does so")).into();
        }
        error
    }
}

/// Whether the other side has ended an exchange, rather than the time or the network.
fn is_broken_off(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref().map(std::io::Error::kind);
    error.is::<ClosedEarly>() || matches!(kind, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
}

/// Whether the other side has left an unused connection open.
fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.peek(&mut [0; 1]), Err(error) if is_passing(&error))
}

/// Proves that a pickle receiver is there: after a message without datapoints the connection stays open, and on a length
/// that no message may have it is closed, `proofs` times.
///
/// # Errors
/// Fails if it does not, or if any step fails or takes too long.
pub(super) fn prove(config: &Config, mut proofs: u32, timeout: &Timeout) -> Result<()> {
    let mut open_for = OPEN_FOR_PROOF;
    loop {
        let why = match provoke(config, open_for, timeout).with_context(|| name(config))? {
            Provoked::ClosedAfter(time) if time < open_for / 2 => {
                proofs -= 1;
                if proofs == 0 {
                    return Ok(());
                }
                open_for *= SECOND_PROOF;
                continue;
            }
            // So late, it may be a proxy that closes every connection: the next one must stay open for longer.
            Provoked::ClosedAfter(time) => {
                open_for = 4 * time;
                continue;
            }
            Provoked::Answered => "it sends an answer, which Carbon never does",
            Provoked::ReadOn => "it reads on where a pickle receiver closes the connection; is it a line port?",
        };
        bail!(
            "no pickle receiver at {}: {why}; Carbon's pickle port is PICKLE_RECEIVER_PORT in carbon.conf, 2004 by default",
            name(config)
        )
    }
}

/// How a connection was closed.
struct Close {
    /// How long after our end it was closed.
    after: Duration,
    /// How long a healthy receiver takes for that.
    prompt: Duration,
}

/// Sends `datapoints`, an empty message if there are none; ends our side once the connection has stayed open for
/// `open_for`, and waits until the other side is closed. With `acknowledge = none` waits for nothing.
///
/// # Errors
/// Fails if any step fails or takes too long.
pub(super) fn exchange(config: &Config, datapoints: &[Datapoint], open_for: Duration, timeout: &Timeout) -> Result<()> {
    let connection = connect(config, timeout);
    let sent = connection.and_then(|connection| exchange_on(connection, config, datapoints, open_for, timeout));
    sent.map(drop).with_context(|| name(config))
}

fn exchange_on(
    (mut stream, way): (TcpStream, Duration),
    config: &Config,
    datapoints: &[Datapoint],
    open_for: Duration,
    timeout: &Timeout,
) -> Result<Close> {
    if datapoints.is_empty() {
        write(&mut stream, EMPTY_MESSAGE, timeout)?;
    }
    let mut frames = Frames::of(datapoints);
    while let Some(frame) = frames.advance() {
        write(&mut stream, frame, timeout)?;
    }
    stay_open(&mut stream, if open_for.is_zero() { open_for } else { open_for + way }, timeout)?;
    stream.shutdown(Shutdown::Write).context("it broke off at the end")?;
    let ended = Instant::now();
    if config.acknowledge != Acknowledge::None {
        wait_for_close(&mut stream, timeout)?;
    }
    Ok(Close { after: ended.elapsed(), prompt: way + PROMPT.0 + PROMPT.1 * datapoints.len() as u32 })
}

/// Returns the receiver's name for messages, `HOST:PORT`.
pub(super) fn name(config: &Config) -> String {
    let (host, port) = (&config.shown_host, config.port);
    if host.contains(':') && !host.starts_with("file:") { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Connects; also returns how long what the other side does may take to be seen here.
fn connect(config: &Config, timeout: &Timeout) -> Result<(TcpStream, Duration)> {
    let (stream, took) = tcp::connect(&config.host, config.port, timeout)?;
    stream.set_nonblocking(true).context("socket")?;
    Ok((stream, (2 * took).min(LONGEST_WAY)))
}

fn write(stream: &mut TcpStream, mut rest: &[u8], timeout: &Timeout) -> Result<()> {
    while !rest.is_empty() {
        ensure!(!timeout.has_passed(), "it did not take everything within {}", timeout.shown());
        let ready = wait(stream, PollFlags::IN | PollFlags::OUT, timeout.left());
        // Carbon closes first if it cannot read a message, so an early close is no acknowledgement.
        ensure!(hear(stream, ready)? != Heard::End, ClosedEarly);
        match stream.write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error).context("it broke off while it was sent to"),
        }
    }
    Ok(())
}

/// Waits for `open_for`; returns whether the other side has sent anything meanwhile.
///
/// # Errors
/// Fails if the other side closes the connection meanwhile, or the time limit passes.
fn stay_open(stream: &mut TcpStream, open_for: Duration, timeout: &Timeout) -> Result<Heard> {
    let ends = Instant::now() + open_for;
    let mut ready = PollFlags::IN;
    let mut heard = Heard::Nothing;
    loop {
        match hear(stream, ready)? {
            Heard::End => return Err(ClosedEarly.into()),
            Heard::Data => heard = Heard::Data,
            Heard::Nothing => {}
        }
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(heard);
        }
        timeout.ensure_acknowledged()?;
        ready = wait(stream, PollFlags::IN, left.min(timeout.left()));
    }
}

/// Waits until the other side has closed the connection after it has received everything.
fn wait_for_close(stream: &mut TcpStream, timeout: &Timeout) -> Result<()> {
    loop {
        timeout.ensure_acknowledged()?;
        let ready = wait(stream, PollFlags::IN, timeout.left());
        if hear(stream, ready)? == Heard::End {
            break;
        }
    }
    // Carbon's FIN may cross our last data: if Carbon never reads them, a reset follows. The connection is over without
    // an error only after Carbon has received our FIN too.
    while stream.peer_addr().is_ok() {
        timeout.ensure_acknowledged()?;
        thread::sleep(Duration::from_millis(1));
    }
    match stream.take_error().context("socket")? {
        None => Ok(()),
        Some(error) => Err(error).context("it broke off"),
    }
}

/// What the other side does with a length that no message may have.
enum Provoked {
    /// It closes the connection, after this time.
    ClosedAfter(Duration),
    /// It sends something.
    Answered,
    /// It closes only after our end.
    ReadOn,
}

fn provoke(config: &Config, open_for: Duration, timeout: &Timeout) -> Result<Provoked> {
    let (mut stream, way) = connect(config, timeout)?;
    write(&mut stream, EMPTY_MESSAGE, timeout)?;
    if stay_open(&mut stream, open_for + way, timeout)? == Heard::Data {
        return Ok(Provoked::Answered);
    }
    write(&mut stream, &WRONG_LENGTH, timeout)?;
    let sent = Instant::now();
    let our_end = sent + PATIENCE.min(timeout.left() / 2);
    let mut is_ended = false;
    loop {
        timeout.ensure_acknowledged()?;
        let left = our_end.saturating_duration_since(Instant::now());
        if left.is_zero() && !is_ended {
            is_ended = true;
            stream.shutdown(Shutdown::Write).context("it broke off at the end")?;
        }
        let ready = wait(&stream, PollFlags::IN, if is_ended { timeout.left() } else { left });
        match hear(&mut stream, ready) {
            Ok(Heard::Nothing) => {}
            Ok(Heard::Data) => return Ok(Provoked::Answered),
            Ok(Heard::End) | Err(_) if is_ended => return Ok(Provoked::ReadOn),
            Ok(Heard::End) | Err(_) => return Ok(Provoked::ClosedAfter(sent.elapsed())),
        }
    }
}

/// Waits at most `left` until the stream is ready for one of `events`; returns the ready ones.
fn wait(stream: &TcpStream, events: PollFlags, left: Duration) -> PollFlags {
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    let mut fds = [PollFd::new(stream, events)];
    // A signal counts as not ready: the caller tries again.
    let _ = poll(&mut fds, Some(&left));
    fds[0].revents()
}

/// What came from the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    /// Carbon never sends anything. A server that does is not Carbon, but may still read; what it sends is discarded.
    Data,
    /// It has closed the connection.
    End,
}

/// Reads from the stream if it is `ready`.
fn hear(stream: &mut TcpStream, ready: PollFlags) -> Result<Heard> {
    if !ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
        return Ok(Heard::Nothing);
    }
    match stream.read(&mut [0; 512]) {
        Ok(0) => Ok(Heard::End),
        Ok(_) => Ok(Heard::Data),
        Err(error) if is_passing(&error) => Ok(Heard::Nothing),
        Err(error) => Err(error).context("it broke off"),
    }
}

fn is_passing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::model::Value;

    /// Serves connections with `serve`, which gets their number, one after the other or each in a thread.
    fn listen(in_threads: bool, serve: impl Fn(usize, &mut TcpStream) + Clone + Send + 'static) -> Config {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let (mut stream, serve) = (stream.unwrap(), serve.clone());
                if in_threads {
                    thread::spawn(move || serve(at, &mut stream));
                } else {
                    serve(at, &mut stream);
                }
            }
        });
        let host = "127.0.0.1".to_string();
        let (acknowledge, shown_host) = (Acknowledge::Fin, host.clone());
        Config { host, shown_host, port, acknowledge, timeout_seconds: 10, graphite: None }
    }

    /// A state directory, in which the receiver has proved itself or not.
    struct State(PathBuf, Receiver);

    impl State {
        fn new(config: &Config, is_known: bool) -> Self {
            let path = std::env::temp_dir().join(format!("gridmon-receiver-{}-{}", std::process::id(), config.port));
            std::fs::create_dir_all(&path).unwrap();
            let receiver = Receiver::new(config, &path);
            if is_known {
                receiver.remember();
            }
            Self(path, receiver)
        }

        /// Sends a datapoint; returns the failure.
        fn send(&self, config: &Config) -> String {
            let datapoints = [Datapoint { path: "a.b".into(), time: 60, value: Value::Int(1) }];
            let timeout = Timeout::new(config.timeout_seconds, Instant::now() + Duration::from_secs(20));
            let failure = self.1.send(config, &datapoints, &timeout).err();
            failure.map(|error| format!("{error:#}")).unwrap_or_default()
        }
    }

    impl Drop for State {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// Sends a datapoint; returns the failure, and whether the receiver has proved itself then.
    fn sent(config: &Config, is_known: bool) -> (String, bool) {
        let state = State::new(config, is_known);
        (state.send(config), state.1.is_known())
    }

    fn read_to_end(stream: &mut TcpStream) {
        let _ = stream.read_to_end(&mut Vec::new());
    }

    /// Reads messages, and closes on a length of over 1 MiB, as Carbon does.
    fn pickles(stream: &mut TcpStream) {
        let mut length = [0; 4];
        while stream.read_exact(&mut length).is_ok() && u32::from_be_bytes(length) <= 1 << 20 {
            stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize]).unwrap();
        }
    }

    #[test]
    fn only_a_pickle_receiver_acknowledges() {
        for in_threads in [false, true] {
            assert_eq!(sent(&listen(in_threads, |_, stream| pickles(stream)), false), (String::new(), true));
            let (failure, has_proved_itself) = sent(&listen(in_threads, |_, stream| read_to_end(stream)), false);
            assert!(failure.starts_with("no pickle receiver at 127.0.0.1:"), "{failure}");
            assert!(failure.contains(": it reads on where ") && !has_proved_itself, "{failure}");
        }
        let web = listen(true, |_, stream| {
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            read_to_end(stream);
        });
        let (failure, _) = sent(&web, false);
        assert!(failure.contains(": it sends an answer, which Carbon never does; "), "{failure}");
        // Carbon's query port knows lengths too, and closes on what it does not understand.
        let query = listen(true, |_, stream| drop(stream.read(&mut [0; 100])));
        assert!(sent(&query, false).0.contains("closed the connection before the end"), "{}", sent(&query, false).0);
        // So it does on a machine that is busy.
        let slow = listen(true, |_, stream| {
            let _ = stream.read(&mut [0; 100]);
            thread::sleep(Duration::from_millis(130));
        });
        assert!(sent(&slow, false).0.contains("closed the connection before the end"), "{}", sent(&slow, false).0);
    }

    /// haproxy reads what fits into its buffer, and closes when it has tried to connect for long enough.
    #[test]
    fn a_proxy_whose_carbon_is_down_acknowledges_nothing_although_carbon_has_proved_itself_earlier() {
        for milliseconds in [0, 1, 150, 400] {
            let proxy = listen(true, move |_, stream| {
                stream.set_read_timeout(Some(Duration::from_millis(milliseconds.max(1)))).unwrap();
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(milliseconds)
                    && !matches!(stream.read(&mut [0; 512]), Ok(0))
                {}
                thread::sleep(Duration::from_millis(milliseconds).saturating_sub(began.elapsed()));
            });
            for is_known in [false, true] {
                let (failure, _) = sent(&proxy, is_known);
                let begin = format!("127.0.0.1:{}: ", proxy.port);
                assert!(failure.starts_with(&begin), "{milliseconds} ms, {is_known}: {failure:?}");
            }
        }
    }

    #[test]
    fn a_receiver_that_takes_its_time_is_believed() {
        let slow = listen(true, |_, stream| {
            pickles(stream);
            thread::sleep(Duration::from_millis(150));
        });
        for is_known in [false, true] {
            assert_eq!(sent(&slow, is_known), (String::new(), true));
        }
    }

    #[test]
    fn a_replay_needs_no_waits_and_notices_a_proxy_that_loses_its_carbon() {
        let is_up = Arc::new(AtomicBool::new(true));
        for in_threads in [false, true] {
            is_up.store(true, Ordering::Relaxed);
            let up = is_up.clone();
            let proxy = listen(in_threads, move |_, stream| {
                if up.load(Ordering::Relaxed) {
                    pickles(stream);
                }
            });
            let state = State::new(&proxy, true);
            let began = Instant::now();
            for _ in 0..100 {
                assert_eq!(state.send(&proxy), "");
            }
            assert!(began.elapsed() < 50 * OPEN, "{:?}", began.elapsed());
            is_up.store(false, Ordering::Relaxed);
            // The connection that was ready still leads to Carbon, unless nobody had accepted it.
            let _ = state.send(&proxy);
            assert_ne!(state.send(&proxy), "");
        }
    }

    #[test]
    fn only_what_a_receiver_breaks_off_with_again_and_again_is_never_taken() {
        // A message of over 100 bytes is too much for this one; from the third connection on it breaks off with others too.
        let poisoned = |flaps: bool| {
            listen(true, move |at, stream| {
                let mut length = [0; 4];
                while stream.read_exact(&mut length).is_ok() && u32::from_be_bytes(length) <= 100 {
                    stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize]).unwrap();
                    if flaps && at > 2 {
                        break;
                    }
                }
            })
        };
        let long = [Datapoint { path: "a".repeat(200), time: 60, value: Value::Int(1) }];
        for flaps in [false, true] {
            let config = poisoned(flaps);
            let state = State::new(&config, true);
            assert_eq!(state.send(&config), "");
            let timeout = Timeout::new(config.timeout_seconds, Instant::now() + Duration::from_secs(20));
            let error = state.1.send(&config, &long, &timeout).unwrap_err();
            assert_eq!(error.is::<NeverTaken>(), !flaps, "{error:#}");
        }
    }

    #[test]
    fn a_server_that_slams_the_door_acknowledges_nothing() {
        // Like a load balancer without a backend: accepts, and closes at once or after the first data.
        let config = listen(false, |at, stream| {
            if at % 2 == 1 {
                let _ = stream.peek(&mut [0; 1]);
            }
        });
        let state = State::new(&config, true);
        for _ in 0..200 {
            assert!(!state.send(&config).is_empty());
        }
    }
}
