//! Whose question is answered next: small ones need not wait for large ones, and one client's need not wait for all of
//! another's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::{Mutex as Line, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// How many questions about the past are answered at once. One of these turns is for small questions alone.
const AT_ONCE: usize = 2;

/// How many pages are rendered at once.
const RENDERED_AT_ONCE: usize = 2;

/// The turns.
pub(super) struct Turns {
    questions: Arc<Semaphore>,
    large: Arc<Semaphore>,
    rendering: Arc<Semaphore>,
    /// The clients with large questions: each waits in its own line, and the first of each line takes part.
    lines: Mutex<HashMap<IpAddr, Arc<Line<()>>>>,
}

/// A turn, which ends when it is dropped. It goes with the work, not with the client, who may have given up.
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    _large: Option<(OwnedMutexGuard<()>, Option<OwnedSemaphorePermit>)>,
}

impl Default for Turns {
    fn default() -> Self {
        let semaphore = |turns| Arc::new(Semaphore::new(turns));
        Self {
            questions: semaphore(AT_ONCE),
            large: semaphore(AT_ONCE - 1),
            rendering: semaphore(RENDERED_AT_ONCE),
            lines: Mutex::default(),
        }
    }
}

impl Turns {
    /// Waits for the turn of a small question, or of rendering a page.
    async fn wait(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        semaphore.clone().acquire_owned().await.ok()
    }

    /// Waits for the turn to answer a question.
    pub(super) async fn question(&self, client: IpAddr, is_large: bool) -> Turn {
        let large = if is_large {
            let line = self.line(client).lock_owned().await;
            Some((line, Self::wait(&self.large).await))
        } else {
            None
        };
        Turn { _permit: Self::wait(&self.questions).await, _large: large }
    }

    /// Waits for the turn to render a page.
    pub(super) async fn rendering(&self) -> Turn {
        Turn { _permit: Self::wait(&self.rendering).await, _large: None }
    }

    fn line(&self, client: IpAddr) -> Arc<Line<()>> {
        let mut lines = self.lines.lock().expect("nothing panics while it is held");
        lines.retain(|_, line| Arc::strong_count(line) > 1);
        lines.entry(client).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_small_question_waits_for_no_large_one_and_a_client_for_one_of_another() {
        let turns = Turns::default();
        let [greedy, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let first = now(pin!(turns.question(greedy, true))).unwrap();
        let (mut second, mut third) = (pin!(turns.question(greedy, true)), pin!(turns.question(greedy, true)));
        let mut others = pin!(turns.question(other, true));
        assert!(now(second.as_mut()).is_none() && now(third.as_mut()).is_none() && now(others.as_mut()).is_none());
        let small = now(pin!(turns.question(greedy, false))).expect("its turn is free");
        drop((first, small));
        let of_other = now(others.as_mut()).expect("it has waited since the first one began");
        assert!(now(second.as_mut()).is_none());
        drop(of_other);
        let second = now(second.as_mut()).unwrap();
        assert!(now(third.as_mut()).is_none());
        drop(second);
        assert!(now(third.as_mut()).is_some());
        assert_eq!(turns.lines.lock().unwrap().len(), 2);
        let _line = turns.line(greedy);
        assert_eq!(turns.lines.lock().unwrap().len(), 1, "lines without anybody are forgotten");
    }
}
