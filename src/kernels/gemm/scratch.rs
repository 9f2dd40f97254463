//! Memory of each thread for packed panels, kept from one product to the next.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

/// A page, so that panels share no cache line and start evenly in the cache's sets.
const ALIGN: usize = 4096;

/// What a thread keeps at most in each slot, in bytes.
const KEPT: usize = 16 << 20;

/// Uninitialised memory that is freed when dropped.
pub(super) struct Scratch {
    memory: NonNull<u8>,
    bytes: usize,
}

thread_local! {
    static SLOTS: [Cell<Option<Scratch>>; 2] = const { [Cell::new(None), Cell::new(None)] };
}

/// Which of the two scratches of a thread: a product may hold both at a time.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    /// What all threads read: the operand packed beforehand.
    Shared,
    /// What one chunk packs for itself.
    Own,
}

/// Calls `f` with room for `len` elements, aligned to a page and uninitialised.
pub(super) fn with<T, R>(slot: Slot, len: usize, f: impl FnOnce(*mut T) -> R) -> R {
    let bytes = len.saturating_mul(size_of::<T>()).max(1);
    // Taken out of its slot, so that a product inside `f` gets another.
    let kept = SLOTS.try_with(|slots| slots[slot as usize].take()).ok().flatten();
    let scratch = kept.filter(|s| s.bytes >= bytes).unwrap_or_else(|| Scratch::new(bytes));
    let result = f(scratch.memory.as_ptr().cast());
    if scratch.bytes <= KEPT {
        // Fails only while the thread ends, when the memory is simply freed.
        _ = SLOTS.try_with(|slots| slots[slot as usize].set(Some(scratch)));
    }
    result
}

impl Scratch {
    fn new(bytes: usize) -> Self {
        let Ok(layout) = Layout::from_size_align(bytes, ALIGN) else {
            panic!("no product packs {bytes} bytes")
        };
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { alloc(layout) };
        Self { memory: NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout)), bytes }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`, which checked it.
        unsafe { dealloc(self.memory.as_ptr(), Layout::from_size_align_unchecked(self.bytes, ALIGN)) };
    }
}
