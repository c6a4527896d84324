//! What the fuzz targets share: bounds of time and memory. An input is small, so whatever reads it must be quick and frugal, whatever
//! lengths, counts and depths it states.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Counts what is allocated, in all threads.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    MOST.fetch_max(NOW.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: every call goes on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        add(size);
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How much processor time an input may take, of all threads together. A sanitizer makes it many times as long.
const LONGEST: Duration = Duration::from_secs(2);

fn used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Runs what reads an input. It may take so many bytes more than there were before, and no more than two seconds of processor time.
///
/// # Panics
/// Panics if it takes more.
pub fn bounded<T>(bytes: usize, read: impl FnOnce() -> T) -> T {
    let (began, before) = (used(), NOW.load(Relaxed));
    MOST.store(before, Relaxed);
    let result = read();
    let (took, most) = (used() - began, MOST.load(Relaxed).saturating_sub(before));
    assert!(most <= bytes, "it took {most} bytes of memory, more than {bytes}");
    assert!(took <= LONGEST, "it took {took:?} of processor time");
    result
}
