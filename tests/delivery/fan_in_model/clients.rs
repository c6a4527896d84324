//! What clients do: they send, hear answers, and send again.

use std::sync::Arc;
use std::time::Duration;

use gridmon::listener::request::Answer;
use gridmon::sources::agents::Received;

use super::store::id;
use super::{Attempt, PIECE, Process, Request, Told, World};

impl World {
    /// A client sends something new, or again what nobody has answered as safe.
    pub(super) fn send(&mut self, process: &Process<'_>, only_again: bool) {
        let at = self.at.get();
        // Not everybody waits until he is told to.
        let waits = only_again || !self.random.one_in(4);
        let is_open =
            |request: &Request| !request.is_done && request.attempt.is_none() && (!waits || request.not_before <= at);
        let open: Vec<_> = (0..self.requests.len()).filter(|at| is_open(&self.requests[*at])).collect();
        let again = if open.is_empty() { None } else { Some(open[self.random.below(open.len() as u64) as usize]) };
        let at = match again {
            Some(at) if only_again || self.random.one_in(2) => at,
            _ if only_again => return,
            _ => {
                let request = self.request();
                self.requests.push(request);
                self.requests.len() - 1
            }
        };
        self.requests[at].attempt = Some(Attempt::default());
        self.go_on(at, process);
    }

    /// Receives a request up to where it must wait.
    pub(super) fn go_on(&mut self, at: usize, process: &Process<'_>) {
        let now = self.at.get();
        let request = &mut self.requests[at];
        let Some(attempt) = &mut request.attempt else { return };
        while attempt.told.is_none() {
            if attempt.held.is_empty() {
                let Some(piece) = request.pieces.get(attempt.taken) else {
                    let answer = std::mem::take(&mut attempt.kept).answer(self.most_new);
                    return self.answered(at, &answer);
                };
                attempt.taken += 1;
                let received = Received { points: piece.clone(), ..Received::default() };
                let limit = (&self.series, self.most_new);
                (attempt.held, _) = attempt.kept.admit(received, request.client, limit, now);
                continue;
            }
            let told = Told::default();
            let tells = Arc::clone(&told);
            let done = Box::new(move |result| *tells.lock().unwrap() = Some(result));
            match process.committer.offer(attempt.held.clone(), done) {
                Ok(()) => {
                    attempt.offered = attempt.held.drain(..).map(|point| id(&point)).collect();
                    for id in &attempt.offered {
                        let times = self.taken.entry(*id).or_default();
                        self.figures.taken_again += usize::from(*times > 0);
                        *self.begun.entry(request.client).or_default() += u64::from(*times == 0);
                        *times += 1;
                    }
                    attempt.told = Some(told);
                }
                // A stream waits, and tries again.
                Err(_) if request.is_stream => return,
                Err(busy) => {
                    let answer = attempt.kept.unfinished(busy.why, busy.retry_after);
                    return self.answered(at, &answer);
                }
            }
        }
        let waiting = process.committer.committed().waiting;
        assert!(waiting <= self.bounds.waiting + PIECE, "seed {}: {waiting} points wait", self.seed);
        // One of its hours began before it did.
        let hours = 2 + now.duration_since(self.lives_since).as_secs() / 3600;
        let most = self.most_new.saturating_mul(hours);
        let is_few = self.begun.values().all(|begun| *begun <= most);
        assert!(is_few, "seed {}: {:?} new series in {hours} hours", self.seed, self.begun);
    }

    /// A client reads its answer.
    pub(super) fn answered(&mut self, at: usize, answer: &Answer) {
        let request = &mut self.requests[at];
        request.attempt = None;
        request.is_done = answer.status == 204 || request.gives_up || request.is_stream;
        request.not_before = self.at.get() + Duration::from_secs(answer.retry_after.unwrap_or_default());
        match (answer.status, answer.retry_after) {
            (204, None) => return,
            (429, Some(600)) => self.figures.limited += 1,
            (503, Some(1)) => self.figures.busy += 1,
            (503, Some(5 | 30)) => self.figures.full += 1,
            _ => panic!("seed {}: {answer:?}", self.seed),
        }
        self.figures.partly += usize::from(answer.message.contains("points are kept"));
        self.figures.given_up += usize::from(request.gives_up);
    }

    /// What was offered is safe, or is not; its request goes on.
    pub(super) fn hear(&mut self, process: &Process<'_>) {
        for at in 0..self.requests.len() {
            let request = &mut self.requests[at];
            let Some(attempt) = &mut request.attempt else { continue };
            let result = attempt.told.as_ref().map(|told| told.lock().unwrap().take());
            let points = std::mem::take(&mut attempt.offered);
            match result {
                Some(None) => {
                    attempt.offered = points;
                    continue;
                }
                Some(Some(Ok(()))) => {
                    attempt.kept.keep(points.len());
                    self.promised.extend(points);
                }
                Some(Some(Err(_))) if request.is_stream => {
                    let all = request.pieces.iter().flatten();
                    attempt.held = all.filter(|point| points.contains(&id(point))).cloned().collect();
                }
                Some(Some(Err(why))) => {
                    let answer = attempt.kept.unfinished(why, 30);
                    self.answered(at, &answer);
                    continue;
                }
                None => {}
            }
            attempt.told = None;
            self.go_on(at, process);
        }
    }

    /// The process is gone, and with it every connection.
    pub(super) fn hang_up(&mut self) {
        for request in &mut self.requests {
            let Some(attempt) = request.attempt.take() else { continue };
            // What it said last was perhaps heard.
            if let Some(Ok(())) = attempt.told.and_then(|told| told.lock().unwrap().take()) {
                self.promised.extend(attempt.offered);
            }
            request.is_done = request.is_stream;
        }
        self.begun.clear();
    }
}
