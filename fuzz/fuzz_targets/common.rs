//! What targets share: the memory that one holds, and panics that are caught.
// A target takes what it needs of it.
#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn add(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: everything is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Failures inside burn and decoders are caught and become errors; libFuzzer's hook would end the program
/// there. Others still end it.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        if std::env::var_os("SHOW_PANICS").is_some() {
            eprintln!("{info}\n{}", std::backtrace::Backtrace::force_capture());
        }
    }));
}

/// What `run` gives; it may hold no more than `most` bytes more than are held now.
pub fn within<T>(most: usize, run: impl FnOnce() -> T) -> T {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let made = run();
    let taken = MOST.load(Ordering::Relaxed).saturating_sub(before);
    assert!(taken <= most, "{taken} bytes were held, and no more than {most} may be");
    made
}

/// The bytes that a model file of `bytes` bytes with its weights may take while it is loaded.
pub fn of_model(bytes: usize) -> usize {
    (4 << 30) + 64 * bytes
}
