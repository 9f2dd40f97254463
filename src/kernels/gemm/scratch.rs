//! Memory of each thread for packed panels, kept from one product to the next.

use crate::memory::exhausted;
use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// A page, so that panels share no cache line and start evenly in the cache's sets.
const ALIGN: usize = 4096;

/// What a thread keeps at most in each slot, in bytes.
const KEPT: usize = 16 << 20;

/// Uninitialised memory that is freed when dropped.
pub(super) struct Scratch {
    memory: NonNull<u8>,
    bytes: usize,
    /// The key of what `filled` has put here; zero for nothing.
    holds: u64,
}

thread_local! {
    static SLOTS: [Cell<Option<Scratch>>; 3] = const { [const { Cell::new(None) }; 3] };
}

/// Which of the scratches of a thread: a product, and what it is a part of, may hold all at a time.
#[derive(Clone, Copy)]
pub(in crate::kernels) enum Slot {
    /// For what many chunks read.
    Many,
    /// For what one chunk packs for itself.
    One,
    /// For a kernel that calls products.
    Caller,
}

/// Calls `f` with room for `len` elements, aligned to a page and uninitialised.
pub(in crate::kernels) fn with<T, R>(slot: Slot, len: usize, f: impl FnOnce(*mut T) -> R) -> R {
    lend(slot, bytes_of::<T>(len), |scratch| {
        scratch.holds = 0;
        f(scratch.memory.as_ptr().cast())
    })
}

/// Calls `f` with room for `len` elements that `fill` has filled, unless this thread still holds what it filled for the
/// same `key`: then as they are.
pub(super) fn filled<T, R>(
    key: u64,
    len: usize,
    fill: impl FnOnce(*mut T),
    f: impl FnOnce(*mut T) -> R,
) -> R {
    lend(Slot::Many, bytes_of::<T>(len), |scratch| {
        let memory = scratch.memory.as_ptr().cast();
        if scratch.holds != key {
            scratch.holds = 0;
            fill(memory);
            scratch.holds = key;
        }
        f(memory)
    })
}

/// The first of `n` keys for [`filled`] that nobody else has.
pub(super) fn keys(n: usize) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(n as u64, Ordering::Relaxed)
}

fn bytes_of<T>(len: usize) -> usize {
    len.saturating_mul(size_of::<T>()).max(1)
}

fn lend<R>(slot: Slot, bytes: usize, f: impl FnOnce(&mut Scratch) -> R) -> R {
    // Taken out of its slot, so that a product inside `f` gets another.
    let kept = SLOTS.try_with(|slots| slots[slot as usize].take()).ok().flatten();
    let mut scratch = kept.filter(|s| s.bytes >= bytes).unwrap_or_else(|| Scratch::new(bytes));
    let result = f(&mut scratch);
    if scratch.bytes <= KEPT {
        // Fails only while the thread ends, when the memory is simply freed.
        _ = SLOTS.try_with(|slots| slots[slot as usize].set(Some(scratch)));
    }
    result
}

impl Scratch {
    fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, ALIGN).ok();
        // SAFETY: the layout is not of size zero.
        let memory = layout.and_then(|layout| NonNull::new(unsafe { alloc(layout) }));
        Self { memory: memory.unwrap_or_else(|| exhausted()), bytes, holds: 0 }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`, which checked it.
        unsafe { dealloc(self.memory.as_ptr(), Layout::from_size_align_unchecked(self.bytes, ALIGN)) };
    }
}
