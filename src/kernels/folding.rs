//! A reduction without its types, done piece by piece: what [`reduce`](super::reduce::reduce) does, for whoever has the
//! elements only a piece at a time.

use super::dispatch::compute;
use super::reduce::{Axis, Fold, Rows, reduce, reduce_whole};
use std::marker::PhantomData;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// A reduction whose element type is forgotten.
pub(crate) trait Folding: Send + Sync {
    /// Folds [`Axis::piece`] rows of the axis, or what is left of them, of one place before the axis; or all rows, of as
    /// many such places as are wanted.
    ///
    /// # Safety
    /// There must be as many elements of the type at `x` as the axis says, and room for its results at `out`.
    unsafe fn piece(&self, axis: Axis, x: *const u8, out: *mut u8);

    /// Folds all, on as many threads as that is worth.
    ///
    /// # Safety
    /// As for [`Folding::piece`].
    unsafe fn whole(&self, axis: Axis, x: *const u8, out: *mut u8);

    /// Folds what pieces gave, which are the rows of the axis.
    ///
    /// # Safety
    /// As for [`Folding::piece`].
    unsafe fn merge(&self, axis: Axis, x: *const u8, out: *mut u8);
}

/// A reduction whose results are of the type of its elements.
pub(crate) struct Folded<K>(PhantomData<fn() -> K>);

impl<K> Folded<K> {
    pub(crate) fn new() -> Self {
        Folded(PhantomData)
    }
}

impl<K: Fold<In: Send>> Folding for Folded<K> {
    unsafe fn piece(&self, axis: Axis, x: *const u8, out: *mut u8) {
        // SAFETY: the caller has so many elements and so much room.
        let (x, out) =
            unsafe { (from_raw_parts(x.cast(), axis.size()), from_raw_parts_mut(out.cast(), axis.places())) };
        compute(Rows::<K> { axis, x, out });
    }

    unsafe fn whole(&self, axis: Axis, x: *const u8, out: *mut u8) {
        // SAFETY: the caller has so many elements and so much room.
        let (x, out) =
            unsafe { (from_raw_parts(x.cast(), axis.size()), from_raw_parts_mut(out.cast(), axis.places())) };
        reduce::<K>(axis, x, out);
    }

    unsafe fn merge(&self, axis: Axis, x: *const u8, out: *mut u8) {
        // SAFETY: the caller has so many results of pieces and so much room.
        let (x, out) =
            unsafe { (from_raw_parts(x.cast(), axis.size()), from_raw_parts_mut(out.cast(), axis.places())) };
        reduce_whole::<K::Parts>(axis, x, out);
    }
}
