//! Whether algorithms that are fast but less accurate than the plain ones are left out.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

static EVERYWHERE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// What this thread has said, if it has.
    static HERE: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Whether the algorithms that save work at the cost of some accuracy are left out of what this thread computes: today
/// Winograd's, for float32 convolutions of windows of 3 x 3 and their gradients.
pub fn strict() -> bool {
    HERE.get().unwrap_or_else(|| EVERYWHERE.load(Ordering::Relaxed))
}

/// Sets [`strict`] for all threads but those inside of [`strictly`].
///
/// ```
/// oxiflux::set_strict(true);
/// assert!(oxiflux::strict());
/// assert!(!oxiflux::strictly(false, oxiflux::strict));
/// # oxiflux::set_strict(false);
/// ```
pub fn set_strict(on: bool) {
    EVERYWHERE.store(on, Ordering::Relaxed);
}

/// Calls `f` with [`strict`] set for this thread alone.
pub fn strictly<R>(on: bool, f: impl FnOnce() -> R) -> R {
    struct Before(Option<bool>);
    impl Drop for Before {
        fn drop(&mut self) {
            HERE.set(self.0);
        }
    }
    let _before = Before(HERE.replace(Some(on)));
    f()
}

/// Sets [`strict`] for this thread, or leaves it to what holds everywhere; gives what was before.
#[cfg(feature = "python")]
pub(crate) fn strict_here(on: Option<bool>) -> Option<bool> {
    HERE.replace(on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_says_for_itself_and_takes_it_back_after_a_panic() {
        assert!(strictly(true, || strict() && !strictly(false, strict) && strict()));
        _ = std::panic::catch_unwind(|| strictly(true, || panic!("broken off")));
        assert!(!strict());
        strictly(true, || std::thread::scope(|s| s.spawn(|| assert!(!strict())).join()).is_ok());
    }
}
