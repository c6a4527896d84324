//! Runs work side by side. A panic in it is an error, and if the machine refuses a thread, the others do its work.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, Location, PanicHookInfo};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

thread_local! {
    /// The number of calls of [`catch`] that this thread is in.
    static CATCHING: Cell<usize> = const { Cell::new(0) };
    /// The description of this thread's last panic that [`catch`] has not returned yet.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Describes a panic, for the hook of a program. Returns `None` if [`catch`] returns it as an error.
pub fn uncaught(panic: &PanicHookInfo<'_>) -> Option<String> {
    let bug = describe(panic.payload(), panic.location());
    if CATCHING.get() == 0 {
        return Some(bug);
    }
    CAUGHT.set(Some(bug));
    None
}

/// Describes a panic in one line. Leaves out quoted text, which may be from outside and secret, and the folder of the
/// source file.
fn describe(payload: &(dyn Any + Send), place: Option<&Location<'_>>) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
    let text = text.split(['"', '`', '\n']).next().unwrap_or_default().trim();
    let place =
        place.map(|place| format!(" ({}:{})", place.file().rsplit('/').next().unwrap_or_default(), place.line()));
    format!("met a bug of this program: {text}{}; please report it", place.unwrap_or_default())
}

/// Runs `work`. The caller must not rely on values that `work` was changing when it panicked.
///
/// # Errors
/// Fails if it panics, with the description of the panic.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T> {
    CATCHING.set(CATCHING.get() + 1);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(CATCHING.get() - 1);
    done.map_err(|payload| anyhow!(CAUGHT.take().unwrap_or_else(|| describe(&*payload, None))))
}

/// How many things run at once.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// At first.
    pub first: usize,
    /// The pause before one more runs, while they take their time.
    pub pause: Duration,
    /// At most.
    pub most: usize,
}

/// Runs `work` for 0 up to `count`, at most `at_once` of them at a time; returns the results in that order. If the machine
/// refuses a thread, fewer run at a time. `work` must not panic: see [`catch`].
pub fn side_by_side<T: Send>(count: usize, at_once: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    in_a_crowd(count, Crowd { first: at_once, pause: Duration::ZERO, most: at_once }, work)
}

/// Like [`side_by_side`], with a crowd that grows.
pub fn in_a_crowd<T: Send>(count: usize, crowd: Crowd, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(count));
    let take_turns = || loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= count {
            return;
        }
        let result = work(at);
        results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
    };
    thread::scope(|scope| {
        // This thread is the last one.
        for number in 1..count.min(crowd.most) {
            if number > crowd.first {
                thread::sleep(crowd.pause);
            }
            let is_over = next.load(Ordering::Relaxed) >= count;
            if is_over || thread::Builder::new().spawn_scoped(scope, take_turns).is_err() {
                break;
            }
        }
        take_turns();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs two things side by side; one after the other if the machine refuses a thread. They must not panic: see [`catch`].
pub fn both<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    // A thread that is refused drops its closure, so it only borrows this one.
    let first = Mutex::new(Some(first));
    let run_first = || first.lock().unwrap_or_else(PoisonError::into_inner).take().map(|first| first());
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, run_first);
        let second = second();
        let first = match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
            Err(_) => run_first(),
        };
        (first.expect("it runs here or there"), second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_costs_the_others_nothing() {
        let results = side_by_side(9, 4, |at| catch(|| if at == 5 { panic!("five") } else { at }));
        for (at, result) in results.into_iter().enumerate() {
            let expected =
                if at == 5 { Err("met a bug of this program: five; please report it".into()) } else { Ok(at) };
            assert_eq!(result.map_err(|bug| bug.to_string()), expected);
        }
        assert_eq!(both(|| 1, || 2), (1, 2));
        let crowd = Crowd { first: 2, pause: Duration::from_millis(1), most: 4 };
        assert_eq!(in_a_crowd(9, crowd, |at| at), (0..9).collect::<Vec<_>>());
        assert!(side_by_side(0, 4, |at| at).is_empty());
    }

    #[test]
    fn a_bug_is_described_without_what_may_be_secret_and_without_the_folder() {
        let secret = "hunter2";
        for text in [format!("byte index 1 is not a char boundary of `{secret}`"), format!("bad: {secret:?}")] {
            let bug = describe(&text, Some(Location::caller()));
            assert!(!bug.contains(secret) && !bug.contains('/') && bug.contains("(work.rs:"), "{bug}");
        }
    }
}
