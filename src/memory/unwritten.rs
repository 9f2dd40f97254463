//! Memory that holds no values yet, and its way to a slice of values.
//!
//! A function that fills such memory hands it back as values: who has the slice has the proof that all of it is written.

use std::mem::MaybeUninit;

/// Places for values, none of which need be there.
pub type Unwritten<T> = [MaybeUninit<T>];

/// The places as values.
///
/// # Safety
/// Each place must have been written.
#[inline(always)]
pub unsafe fn assume_written<T>(places: &mut Unwritten<T>) -> &mut [T] {
    let (start, n) = (places.as_mut_ptr(), places.len());
    // SAFETY: a `MaybeUninit<T>` lies as a `T` does, the caller says that each is one, and the borrow is handed on.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), n) }
}

/// The values as places to write to again.
///
/// # Safety
/// Whoever gets the places must leave a value in each.
#[inline(always)]
pub(crate) unsafe fn rewritten<T>(values: &mut [T]) -> &mut Unwritten<T> {
    let (start, n) = (values.as_mut_ptr(), values.len());
    // SAFETY: a `T` lies as a `MaybeUninit<T>` does, and the caller sees to it that values stay values.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), n) }
}

/// Fills the places with what `f` gives for each of their numbers.
#[inline(always)]
pub fn fill_with<T>(places: &mut Unwritten<T>, mut f: impl FnMut(usize) -> T) -> &mut [T] {
    for (i, place) in places.iter_mut().enumerate() {
        place.write(f(i));
    }
    // SAFETY: the loop has gone over all places, and has written each.
    unsafe { assume_written(places) }
}

/// Fills the places with a copy of as many values.
///
/// # Panics
/// Where there are not as many.
#[inline(always)]
pub fn copy_from<'a, T: Copy>(places: &'a mut Unwritten<T>, values: &[T]) -> &'a mut [T] {
    assert!(places.len() == values.len(), "copy of {} values to {} places", values.len(), places.len());
    // SAFETY: both have that many elements, which lie alike; what is borrowed for writing overlaps nothing.
    unsafe { places.as_mut_ptr().cast::<T>().copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    // SAFETY: the copy has written as many places as there are.
    unsafe { assume_written(places) }
}

/// Writes to places from the first to the last.
#[derive(Debug)]
pub struct Writer<'a, T> {
    places: &'a mut Unwritten<T>,
    /// The places before this one are written.
    next: usize,
}

impl<'a, T: Copy> Writer<'a, T> {
    /// A writer at the first place.
    #[inline(always)]
    pub fn new(places: &'a mut Unwritten<T>) -> Self {
        Writer { places, next: 0 }
    }

    /// How many places are left.
    #[inline(always)]
    pub fn left(&self) -> usize {
        self.places.len() - self.next
    }

    /// Writes values to the next places.
    ///
    /// # Panics
    /// Where fewer places are left.
    #[inline(always)]
    pub fn write(&mut self, values: &[T]) {
        copy_from(&mut self.places[self.next..][..values.len()], values);
        self.next += values.len();
    }

    /// Writes a value to the next place.
    ///
    /// # Panics
    /// Where none is left.
    #[inline(always)]
    pub fn push(&mut self, value: T) {
        self.places[self.next].write(value);
        self.next += 1;
    }

    /// Writes each of the values to the next place.
    ///
    /// # Panics
    /// Where there are more than places left.
    #[inline(always)]
    pub fn extend(&mut self, values: impl ExactSizeIterator<Item = T>) {
        let places = &mut self.places[self.next..][..values.len()];
        // Counted as they are written: the iterator's word for how many there are is not relied on.
        for (place, value) in places.iter_mut().zip(values) {
            place.write(value);
            self.next += 1;
        }
    }

    /// The places, all of which are written.
    ///
    /// # Panics
    /// Where some are left.
    #[inline(always)]
    pub fn finish(self) -> &'a mut [T] {
        assert!(self.left() == 0, "{} places are left unwritten", self.left());
        // SAFETY: `next` counts the places that `write` has written from the first on, and it has come to the last.
        unsafe { assume_written(self.places) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_is_read() {
        let mut places = [MaybeUninit::uninit(); 5];
        assert_eq!(fill_with(&mut places, |i| i * i), [0, 1, 4, 9, 16]);
        assert_eq!(copy_from(&mut places, &[5, 4, 3, 2, 1]), [5, 4, 3, 2, 1]);
        let mut writer = Writer::new(&mut places);
        writer.write(&[7, 8]);
        assert_eq!(writer.left(), 3);
        writer.write(&[9, 10, 11]);
        assert_eq!(writer.finish(), [7, 8, 9, 10, 11]);
    }

    #[test]
    #[should_panic(expected = "2 places are left unwritten")]
    fn a_writer_that_is_not_done_gives_no_values() {
        let mut places = [MaybeUninit::uninit(); 3];
        let mut writer = Writer::new(&mut places);
        writer.write(&[1u8]);
        writer.finish();
    }

    #[test]
    #[should_panic(expected = "copy of 3 values to 2 places")]
    fn a_copy_of_another_length_is_refused() {
        copy_from(&mut [MaybeUninit::uninit(); 2], &[1, 2, 3]);
    }
}
