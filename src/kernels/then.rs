//! What is done to elements of a result as soon as they are finished, while they are in the cache.

use std::fmt;

/// Runs of elements that lie in order: where each begins, and how many they are.
pub type Runs<'a> = dyn Iterator<Item = (*mut u8, usize)> + 'a;

/// Something that is done to the elements of a result, by the threads that compute them, piece by piece.
pub trait Then: Sync {
    /// Does it to these. Where a kernel finds that it has to compute elements anew, it is done to these once more.
    ///
    /// # Safety
    /// The elements must be of the result for which this was made. They must have been computed, and nobody else use them
    /// meanwhile.
    unsafe fn done(&self, runs: &mut Runs<'_>);

    /// How long it takes for so many elements on one thread, in nanoseconds.
    fn nanos(&self, elements: usize) -> usize;
}

impl fmt::Debug for dyn Then + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Then")
    }
}

/// How long that takes, if there is something.
pub(super) fn nanos(then: Option<&dyn Then>, elements: usize) -> usize {
    then.map_or(0, |then| then.nanos(elements))
}
