//! What becomes of the points of one request, piece by piece: some are of too many new series, the others are offered, and the
//! answer says what is kept. Pure: the caller, which receives the request, offers the points and waits.

use std::net::IpAddr;
use std::time::Instant;

use super::series::{Series, TooMany};
use crate::model::Point;
use crate::sources::agents::{Received, Refused};

/// When a client may try again to begin new series, in seconds.
const RETRY_NEW_SERIES: u64 = 600;

/// How a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 204 if every point is safe, 400 if some cannot be taken, 429 if some are of too many new series, 503 if nothing is accepted
    /// now.
    pub status: u16,
    /// Why it is not 204, and what is kept nevertheless.
    pub message: String,
    /// After how many seconds it is of use to send the request again.
    pub retry_after: Option<u64>,
}

/// What has become of a request's points so far.
#[derive(Debug, Default)]
pub struct Kept {
    /// How many are safe.
    count: usize,
    refused: Refused,
    too_many: Option<TooMany>,
}

impl Kept {
    /// Takes a piece of the request. Returns the points of it that may be offered, and what was refused.
    pub fn admit(
        &mut self,
        received: Received,
        client: IpAddr,
        (series, most_new): (&Series, u64),
        now: Instant,
    ) -> (Vec<Point>, Refused) {
        let Received { mut points, mut refused, .. } = received;
        self.refused.merge(refused.clone());
        if let Some(too_many) = series.admit(client, most_new, &mut points, now) {
            refused.merge(Refused { count: too_many.points, reasons: vec![text(&too_many, most_new)] });
            let count = too_many.points;
            let all = self.too_many.get_or_insert(TooMany { points: 0, ..too_many });
            all.points += count;
        }
        (points, refused)
    }

    /// So many points of the last piece are safe.
    pub fn keep(&mut self, count: usize) {
        self.count += count;
    }

    /// Returns the answer if a piece is not accepted now.
    pub fn unfinished(&self, why: String, retry_after: u64) -> Answer {
        let message = if self.count == 0 { why } else { format!("{why}; the first {} points are kept", self.count) };
        Answer { status: 503, message, retry_after: Some(retry_after) }
    }

    /// Returns the answer once all pieces are taken.
    pub fn answer(self, most_new: u64) -> Answer {
        let Self { count, refused, too_many } = self;
        if let Some(too_many) = too_many {
            let message = format!("{}; {count} others are kept", text(&too_many, most_new));
            return Answer { status: 429, message, retry_after: Some(RETRY_NEW_SERIES) };
        }
        if refused.count > 0 {
            let (reasons, dropped) = (refused.reasons.join("; "), refused.count);
            let message = format!("partial write: {reasons} dropped={dropped}; {count} points are kept");
            return Answer { status: 400, message, retry_after: None };
        }
        Answer { status: 204, message: String::new(), retry_after: None }
    }
}

fn text(TooMany { points, first }: &TooMany, most_new: u64) -> String {
    format!("{points} points begin more than {most_new} new series within an hour, the first of them {first}")
}
