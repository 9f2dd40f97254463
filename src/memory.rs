//! Reference-counted buffers, aligned to 64 bytes, from a cache of size classes.
//!
//! A training step asks for the same sizes again and again, and a fresh page costs more than the arithmetic done on it;
//! so freed blocks are kept: small ones per thread, large ones in common up to a limit. Large blocks ask the system for
//! huge pages.

pub mod unwritten;

use std::alloc::{Layout, alloc, dealloc};
use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

/// Alignment of every buffer, in bytes: a cache line and the widest vector.
pub const ALIGNMENT: usize = 64;
/// Blocks up to this many bytes are cached per thread.
const SMALL: usize = 1 << 16;
/// Blocks of at least this many bytes are aligned to it and ask for huge pages.
const HUGE: usize = 1 << 21;
/// How many freed blocks of a small class a thread keeps.
const KEPT_PER_CLASS: usize = 64;
/// How many bytes of freed large blocks are kept in all.
const KEPT_LARGE: usize = 1 << 30;

/// For memory checkers (`--cfg exact_blocks`): blocks have the bytes that were asked for and none is used again, so that
/// reading past one, or after its end, or what nobody wrote is seen.
const EXACT: bool = cfg!(exact_blocks);

static LIVE: AtomicUsize = AtomicUsize::new(0);
/// The most that was, since somebody asked for it to be forgotten.
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// How many want blocks to be told apart, even from those that had their memory before.
static TELLING: AtomicUsize = AtomicUsize::new(0);
/// Counts the blocks that are told apart.
static NUMBER: AtomicU64 = AtomicU64::new(1);
/// Only ever tried: a child forked while another thread held it must not wait for ever.
static LARGE: Mutex<Large> = Mutex::new(Large { bytes: 0, blocks: Vec::new() });

/// Sits before the data of an owned block, or alone before foreign memory.
#[repr(C, align(64))]
struct Header {
    count: AtomicUsize,
    data: *mut u8,
    /// Bytes of data that the block holds; 0 for foreign memory.
    capacity: usize,
    owner: Option<Box<dyn Any + Send + Sync>>,
    /// Tells it from all other blocks that ever were; 0 for one that was made while nobody wanted that.
    number: u64,
    /// Whether somebody knows its contents by its number: they stay what they are.
    is_known: AtomicBool,
}

/// A shared block of memory. Clones share it; it returns to the cache with the last of them.
pub struct Buffer(NonNull<Header>);

// SAFETY: the count is atomic, and writing through `data` asks for uniqueness (`is_unique`) or for a fresh block.
unsafe impl Send for Buffer {}
// SAFETY: as for `Send`: through a shared handle the memory is only read.
unsafe impl Sync for Buffer {}

struct Large {
    bytes: usize,
    blocks: Vec<(usize, Block)>,
}

#[derive(Clone, Copy)]
struct Block(NonNull<Header>);
// SAFETY: a block in the cache has no other owner.
unsafe impl Send for Block {}

const CLASSES: usize = 48;

struct Small {
    blocks: [Vec<Block>; CLASSES],
}

impl Drop for Small {
    fn drop(&mut self) {
        for block in self.blocks.iter_mut().flat_map(std::mem::take) {
            release(block);
        }
    }
}

thread_local! {
    static CACHE: UnsafeCell<Small> = const { UnsafeCell::new(Small { blocks: [const { Vec::new() }; CLASSES] }) };
}

/// Rounds up to a size class: four to each power of two, so that at most a fifth is wasted.
#[inline]
fn class_of(bytes: usize) -> (usize, usize) {
    let bytes = bytes.max(64).next_multiple_of(64);
    if bytes <= 256 {
        return (bytes / 64 - 1, bytes);
    }
    let top = (usize::BITS - 1 - (bytes - 1).leading_zeros()) as usize; // 2^top < bytes <= 2^(top+1)
    let step = 1usize << (top - 2);
    let rounded = bytes.next_multiple_of(step);
    (4 + (top - 8) * 4 + (rounded - (1 << top)) / step - 1, rounded)
}

fn layout(capacity: usize) -> Option<Layout> {
    let align = if capacity >= HUGE { HUGE } else { ALIGNMENT };
    Layout::from_size_align(capacity.checked_add(size_of::<Header>())?, align).ok()
}

fn release(block: Block) {
    // SAFETY: the block is in no cache and has no owner; it was made by `fresh` with the layout of its capacity.
    unsafe {
        if let Some(layout) = layout(block.0.as_ref().capacity) {
            dealloc(block.0.as_ptr().cast(), layout);
        }
    }
}

fn fresh(capacity: usize) -> Option<Block> {
    let layout = layout(capacity)?;
    // SAFETY: the layout has a size of at least that of the header.
    let header = NonNull::new(unsafe { alloc(layout) }.cast::<Header>())?;
    #[cfg(target_os = "linux")]
    if capacity >= HUGE {
        // SAFETY: advice on memory that is ours; failing is harmless.
        unsafe { libc::madvise(header.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
    }
    // SAFETY: the block is large enough for the header, aligned, and ours.
    unsafe {
        let data = header.as_ptr().cast::<u8>().add(size_of::<Header>());
        let (count, is_known) = (AtomicUsize::new(1), AtomicBool::new(false));
        header.as_ptr().write(Header { count, data, capacity, owner: None, number: 0, is_known });
    }
    Some(Block(header))
}

impl Buffer {
    /// A block of at least `bytes` bytes with unspecified contents; `None` when the system has no more.
    #[inline]
    pub fn new(bytes: usize) -> Option<Buffer> {
        if bytes > isize::MAX as usize / 2 {
            return None;
        }
        let (class, capacity) = if EXACT { (0, bytes.max(1)) } else { class_of(bytes) };
        let cached = if EXACT {
            None
        } else if capacity <= SMALL {
            // SAFETY: the cell is this thread's own, and nothing called while it is borrowed comes back here.
            CACHE.try_with(|c| unsafe { (*c.get()).blocks[class].pop() }).ok().flatten()
        } else {
            LARGE.try_lock().ok().and_then(|mut large| large.take(capacity))
        };
        let block = match cached {
            Some(block) => block,
            None => fresh(capacity)?,
        };
        let live = LIVE.fetch_add(capacity, Ordering::Relaxed) + capacity;
        if live > PEAK.load(Ordering::Relaxed) {
            PEAK.fetch_max(live, Ordering::Relaxed);
        }
        let number = if is_telling() { NUMBER.fetch_add(1, Ordering::Relaxed) } else { 0 };
        // SAFETY: a block from the cache or fresh has no other owner.
        unsafe {
            let header = &mut *block.0.as_ptr();
            *header.count.get_mut() = 1;
            header.number = number;
            *header.is_known.get_mut() = false;
        }
        Some(Buffer(block.0))
    }

    /// Memory that belongs to somebody else, kept alive by `owner`; it is never written.
    ///
    /// # Safety
    /// `data` must stay valid for reads, and unchanged, while `owner` lives.
    pub unsafe fn foreign(data: *const u8, owner: Box<dyn Any + Send + Sync>) -> Buffer {
        let header = Header {
            count: AtomicUsize::new(1),
            data: data.cast_mut(),
            capacity: 0,
            owner: Some(owner),
            number: 0,
            is_known: AtomicBool::new(false),
        };
        Buffer(NonNull::from(Box::leak(Box::new(header))))
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the header lives as long as any handle.
        unsafe { self.0.as_ref() }
    }

    /// Where the data starts.
    #[inline]
    pub fn data(&self) -> *mut u8 {
        self.header().data
    }

    /// Whether the memory belongs to somebody else. What its owner does when it is let go of is not known.
    #[inline]
    pub fn is_foreign(&self) -> bool {
        self.header().capacity == 0
    }

    /// True when nobody else holds the block and it may be written.
    #[inline]
    pub fn is_unique(&self) -> bool {
        let header = self.header();
        let is_known = || is_telling() && header.is_known.load(Ordering::Relaxed);
        !self.is_foreign() && header.count.load(Ordering::Acquire) == 1 && !is_known()
    }

    /// What tells the block from all others that ever were; `None` of foreign memory, and of a block that was made while
    /// nobody was [`Telling`].
    pub(crate) fn number(&self) -> Option<u64> {
        Some(self.header().number).filter(|&number| number != 0)
    }

    /// Its contents stay what they are for as long as anybody is [`Telling`]: whoever wants to write it has to copy it.
    pub(crate) fn is_to_stay(&self) {
        self.header().is_known.store(true, Ordering::Relaxed);
    }

    /// How many bytes the block has; 0 for foreign memory.
    pub(crate) fn capacity(&self) -> usize {
        self.header().capacity
    }
}

/// While one lives, each block that is made has a number of its own.
pub(crate) struct Telling(());

impl Telling {
    pub(crate) fn new() -> Telling {
        TELLING.fetch_add(1, Ordering::Relaxed);
        Telling(())
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        TELLING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether blocks are told apart. A thread sees its own wish at once.
#[inline]
pub(crate) fn is_telling() -> bool {
    TELLING.load(Ordering::Relaxed) != 0
}

impl Clone for Buffer {
    #[inline]
    fn clone(&self) -> Self {
        self.header().count.fetch_add(1, Ordering::Relaxed);
        Buffer(self.0)
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if self.header().count.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        let capacity = self.header().capacity;
        if capacity == 0 {
            // SAFETY: made by `foreign` from a box; this was the last handle.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
            return;
        }
        LIVE.fetch_sub(capacity, Ordering::Relaxed);
        let block = Block(self.0);
        if EXACT {
            release(block);
        } else if capacity <= SMALL {
            let (class, _) = class_of(capacity);
            let kept = CACHE.try_with(|c| {
                // SAFETY: the cell is this thread's own, and nothing called while it is borrowed comes back here.
                let list = unsafe { &mut (*c.get()).blocks[class] };
                let room = list.len() < KEPT_PER_CLASS;
                if room {
                    list.push(block);
                }
                room
            });
            if !matches!(kept, Ok(true)) {
                release(block);
            }
        } else {
            match LARGE.try_lock() {
                Ok(mut large) => large.put(capacity, block),
                Err(_) => release(block),
            }
        }
    }
}

impl Large {
    fn take(&mut self, capacity: usize) -> Option<Block> {
        let at = self.blocks.iter().rposition(|&(c, _)| c == capacity)?;
        self.bytes -= capacity;
        Some(self.blocks.remove(at).1)
    }

    fn put(&mut self, capacity: usize, block: Block) {
        self.blocks.push((capacity, block));
        self.bytes += capacity;
        while self.bytes > KEPT_LARGE {
            let (oldest, block) = self.blocks.remove(0);
            self.bytes -= oldest;
            release(block);
        }
    }
}

/// What unwinds from a place that gets no memory and has nothing to say so with, up to [`attempt`].
struct Exhausted;

/// There is no memory to work with. Kernels have no result that could say so: this unwinds to the door of the operation,
/// which makes it an error.
#[cold]
pub(crate) fn exhausted() -> ! {
    std::panic::resume_unwind(Box::new(Exhausted))
}

/// What `f` gives, or `None` where it found no memory to work with.
#[inline]
pub(crate) fn attempt<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(done) => Some(done),
        Err(payload) if payload.is::<Exhausted>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// An empty vector with room for `n` elements, where the system has that much; else see [`exhausted`].
pub(crate) fn room<T>(n: usize) -> Vec<T> {
    let mut out = Vec::new();
    if out.try_reserve_exact(n).is_err() {
        exhausted();
    }
    out
}

/// A vector of `n` times the same; see [`room`].
pub(crate) fn filled<T: Clone>(n: usize, value: T) -> Vec<T> {
    let mut out = room(n);
    out.resize(n, value);
    out
}

/// A vector of what an iterator gives; see [`room`].
pub(crate) fn collected<T>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let values = values.into_iter();
    let mut out = room(values.size_hint().0);
    for value in values {
        if out.len() == out.capacity() && out.try_reserve(1).is_err() {
            exhausted();
        }
        out.push(value);
    }
    out
}

/// Bytes held by living buffers, rounded up to their size classes; foreign memory is not counted.
pub fn in_use() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The most bytes that living buffers have held at a time since [`forget_peak`].
pub fn peak() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// What [`peak`] has seen so far does not count any more.
pub fn forget_peak() {
    PEAK.store(in_use(), Ordering::Relaxed);
}

/// Gives the large freed blocks that are kept for reuse back to the system.
pub fn trim() {
    let blocks = LARGE.try_lock().map(|mut large| {
        large.bytes = 0;
        std::mem::take(&mut large.blocks)
    });
    for (_, block) in blocks.into_iter().flatten() {
        release(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_its_bytes_and_wastes_at_most_a_quarter() {
        let mut last = (0, 64);
        for bytes in 1..200_000 {
            let (class, capacity) = class_of(bytes);
            assert!(
                capacity >= bytes && (capacity <= 256 || capacity * 4 <= bytes * 5 + 256),
                "{bytes}: {capacity}"
            );
            assert!(class == last.0 || class == last.0 + 1 && capacity > last.1, "{bytes}: {class} {last:?}");
            assert_eq!(class_of(capacity), (class, capacity));
            last = (class, capacity);
        }
        assert!(class_of(SMALL).0 < CLASSES);
    }

    #[test]
    fn a_freed_block_is_used_again() {
        for bytes in [100, 5 << 20] {
            let first = Buffer::new(bytes).expect("memory").data();
            let second = Buffer::new(bytes).expect("memory").data();
            assert_eq!(first, second);
            assert_eq!(first as usize % ALIGNMENT, 0);
        }
    }

    #[test]
    fn work_without_memory_is_given_up_and_other_panics_go_on() {
        assert_eq!(attempt(|| filled(3, 1u8)), Some(vec![1, 1, 1]));
        assert_eq!(attempt(|| filled(1 << 60, 1u64)), None);
        assert_eq!(attempt(|| collected((0..5).filter(|i| i % 2 == 0))), Some(vec![0, 2, 4]));
        let other = catch_unwind(|| attempt(|| resume_unwind(Box::new("other"))));
        assert!(other.is_err_and(|payload| payload.is::<&str>()));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(Buffer::new(usize::MAX / 2).is_none());
        assert!(Buffer::new(1 << 60).is_none());
    }
}
