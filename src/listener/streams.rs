//! Streams without answers: QULo's pickles, Carbon's lines and pickles. A stream is read only as fast as what it holds
//! becomes safe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::door::Shared;
use crate::model::Point;
use crate::os::guests::Guest;
use crate::sources::agents::scanner::{self, Scanner};
use crate::sources::agents::{Received, Refused, carbon_line, carbon_pickle, qulo};
use crate::text::count;

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP, TLS or QULo's pickles, told by the first byte.
    Any,
    /// Carbon's line protocol.
    CarbonLines,
    /// Carbon's pickle protocol.
    CarbonPickles,
}

impl Speaks {
    fn name(self) -> &'static str {
        match self {
            Self::Any => "qulo",
            Self::CarbonLines => "carbon_line",
            Self::CarbonPickles => "carbon_pickle",
        }
    }

    /// The most bytes of one message.
    fn longest(self) -> usize {
        match self {
            Self::Any => scanner::LONGEST,
            Self::CarbonLines => carbon_line::LONGEST,
            Self::CarbonPickles => 4 + (1 << 20),
        }
    }
}

/// How much is read at once, in bytes: at first, and at most of a stream that always has more.
const READ: usize = 2 << 10;
const MOST_READ: usize = 256 << 10;

/// How long a message may take to arrive once it has begun. An agent that is silent between messages may stay.
const MESSAGE: Duration = Duration::from_secs(60);

/// The time between two attempts to hand over what cannot be accepted.
const AGAIN: Duration = Duration::from_millis(500);

/// Receives a stream until it ends, or holds what no client of its protocol sends.
pub(super) async fn receive(mut stream: TcpStream, guest: &Arc<Guest>, speaks: Speaks, shared: &Arc<Shared>) {
    let (mut buffer, mut share, mut scanner) = (Vec::<u8>::new(), shared.streams.share(), Scanner::default());
    let (mut begun, mut most) = (None::<Instant>, READ);
    let mut stopping = shared.stopping.clone();
    loop {
        let before = buffer.len();
        // An idle stream holds no memory. What has come is read also when qmaster is about to stop: nobody can be told to send it again.
        if before == 0 {
            tokio::select! {
                biased;
                readable = stream.readable() => if readable.is_err() { return },
                _ = stopping.wait_for(|is_so| *is_so) => return,
            }
        }
        // A vector may double its room when it grows. An agent of QULo whose connection ends never comes again, so it waits; but not
        // for ever with the half of a message, of which others may hold more halves.
        while !share.grow_to((2 * before).max(before + most)) {
            if begun.is_some_and(|begun| begun.elapsed() > MESSAGE) {
                return shared.counts.ended(speaks.name(), guest.address, "there is no room for its message now");
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => most = READ,
                _ = stopping.wait_for(|is_so| *is_so) => return,
            }
        }
        buffer.reserve(most);
        let left = begun.map_or(MESSAGE, |begun| MESSAGE.saturating_sub(begun.elapsed()));
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout(left, stream.read_buf(&mut buffer)) => read,
            _ = stopping.wait_for(|is_so| *is_so) => return,
        };
        match read {
            Ok(Ok(count)) if count > 0 => {}
            // Whether it ended or was reset.
            Ok(_) if before > 0 => {
                return shared.counts.ended(speaks.name(), guest.address, "it ended within a message");
            }
            Ok(_) => return,
            Err(_) => return shared.counts.ended(speaks.name(), guest.address, "its message did not end in time"),
        }
        most = if buffer.len() - before >= most { (2 * most).min(MOST_READ) } else { READ };
        guest.asks();
        let mut received = Received::default();
        let parsed = parse(&buffer, speaks, &mut scanner, &mut received);
        // What came before what is hostile is as good as ever.
        hand_over(received, speaks, guest, shared).await;
        match parsed {
            Ok(used) => {
                buffer.drain(..used);
                if used > 0 || begun.is_none() {
                    begun = (!buffer.is_empty()).then(Instant::now);
                }
                if buffer.len() > speaks.longest() {
                    return shared.counts.ended(speaks.name(), guest.address, "its message is too long");
                }
                if buffer.is_empty() {
                    (buffer, share) = (Vec::new(), shared.streams.share());
                }
            }
            Err(why) => return shared.counts.ended(speaks.name(), guest.address, &why),
        }
        guest.is_answered();
    }
}

fn parse(bytes: &[u8], speaks: Speaks, scanner: &mut Scanner, received: &mut Received) -> Result<usize, String> {
    let now = Timestamp::now().as_second();
    match speaks {
        Speaks::Any => qulo::parse(bytes, scanner, received),
        Speaks::CarbonLines => Ok(carbon_line::parse(bytes, now, received)),
        Speaks::CarbonPickles => carbon_pickle::parse(bytes, now, received),
    }
}

/// Points that are not accepted now, and that nobody can be told to send again. When qmaster must end, they are counted and named.
struct Held<'a> {
    count: usize,
    speaks: Speaks,
    guest: &'a Guest,
    shared: &'a Shared,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            let why =
                format!("{} given up, since qmaster ended while nothing was accepted", count(self.count, "point"));
            let refused = Refused { count: self.count, reasons: vec![why] };
            self.shared.counts.refused(self.speaks.name(), self.guest.address, &refused);
        }
    }
}

/// Hands over what was received, and waits until it is safe, when qmaster is about to stop until that has taken its time.
async fn hand_over(received: Received, speaks: Speaks, guest: &Guest, shared: &Shared) {
    let Received { mut points, mut refused, seen } = received;
    shared.agents.hear_qulos(&seen, guest.address, Timestamp::now().as_second());
    let too_many = shared.series.admit(guest.address, shared.config.new_series_per_hour, &mut points, Instant::now());
    if let Some(too_many) = too_many {
        refused.merge(Refused {
            count: too_many.points,
            reasons: vec![format!("{} is one new series too many within an hour", too_many.first)],
        });
    }
    shared.counts.refused(speaks.name(), guest.address, &refused);
    let mut held = Held { count: 0, speaks, guest, shared };
    while !points.is_empty() {
        if offer(points.clone(), shared).await.is_ok() {
            shared.counts.safe(speaks.name(), points.len());
            return;
        }
        // The sender waits, as its system has no room for more either.
        held.count = points.len();
        tokio::time::sleep(AGAIN).await;
        held.count = 0;
    }
}

/// Offers points, and waits until they are safe.
///
/// # Errors
/// Fails with the reason and the time after which to try again, in seconds.
pub(super) async fn offer(points: Vec<Point>, shared: &Shared) -> Result<(), (String, u64)> {
    let (done, is_done) = oneshot::channel();
    shared.accept.accept(
        points,
        Box::new(move |result| {
            // The client may have gone.
            let _ = done.send(result);
        }),
    )?;
    match is_done.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err((why, 30)),
        Err(_) => Err(("qmaster is about to end".into(), 10)),
    }
}
