//! Where along an axis the largest or the smallest element is.

use super::cost::reading;
use super::dispatch::{Compute, compute};
use super::lanes::Vectors;
use super::number::Number;
use super::reduce::{Axis, CHUNK, FEW, Fold, LANES, Max, Min, WIDTH, reduce};
use crate::memory::room;
use crate::memory::unwritten::{Unwritten, assume_written, copy_from};
use crate::team::{self, Pieces};

/// `out[o, j]` = the place in `x[o, .., j]` of its first largest element, or of its first NaN. Gives the places.
///
/// # Panics
/// Where `x` or `out` has not as many elements as the axis says, or the axis has none.
pub fn argmax<'a, T: Number>(axis: Axis, x: &[T], out: &'a mut Unwritten<i64>) -> &'a mut [i64] {
    first_place::<Max<T>>(axis, x, out)
}

/// `out[o, j]` = the place in `x[o, .., j]` of its first smallest element, or of its first NaN. Gives the places.
///
/// # Panics
/// As for [`argmax`].
pub fn argmin<'a, T: Number>(axis: Axis, x: &[T], out: &'a mut Unwritten<i64>) -> &'a mut [i64] {
    first_place::<Min<T>>(axis, x, out)
}

/// Folds first, then looks for the result: two passes that vectorise are faster than one that does not.
fn first_place<'a, K: Fold<In: Number, Out = <K as Fold>::In>>(
    axis: Axis,
    x: &[K::In],
    out: &'a mut Unwritten<i64>,
) -> &'a mut [i64] {
    let (Axis { outer, n, inner }, places) = (axis, axis.places());
    assert!(
        x.len() == axis.size() && out.len() == places && (n > 0 || places == 0),
        "argmax or argmin: {axis:?} does not fit {} elements and {} results",
        x.len(),
        out.len()
    );
    let mut best = room(places);
    let best = &*reduce::<K>(axis, x, &mut best.spare_capacity_mut()[..places]);
    let nanos = reading::<K::In>(x.len());
    if n * inner <= CHUNK || inner <= WIDTH {
        let group = (CHUNK / (n * inner).max(1)).clamp(1, outer.max(1));
        return team::fill(Pieces::of(out, (group * inner).max(1)), nanos, |task, out| {
            let rows = x[task * group * n * inner..].chunks_exact(n * inner);
            let best = best[task * group * inner..].chunks_exact(inner);
            for ((x, best), out) in rows.zip(best).zip(out.chunks_exact_mut(inner)) {
                compute(Places { n, stride: inner, x, best, out });
            }
            // SAFETY: the piece is of whole rows, of which there are as many in `x` and `best` from here on at least;
            // `Places` has written each.
            unsafe { assume_written(out) }
        });
    }
    let tiles = inner.div_ceil(WIDTH);
    team::fill(Pieces::of_rows(out, inner, WIDTH), nanos, |task, out| {
        let (o, j) = (task / tiles, task % tiles * WIDTH);
        let (x, best) = (&x[o * n * inner + j..(o + 1) * n * inner], &best[o * inner + j..][..out.len()]);
        compute(Places { n, stride: inner, x, best, out })
    })
}

/// The places of what is best in as many columns as there are results, whose rows are `stride` apart.
struct Places<'x, 'a, T> {
    n: usize,
    stride: usize,
    x: &'x [T],
    best: &'x [T],
    out: &'a mut Unwritten<i64>,
}

impl<'a, T: Number> Compute for Places<'_, 'a, T> {
    type Out = &'a mut [i64];
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [i64] {
        let Places { n, stride, x, best, out } = self;
        if stride == 1 {
            for (o, out) in out.iter_mut().enumerate() {
                out.write(place_in_row(&x[o * n..][..n], best[o]) as i64);
            }
            // SAFETY: the loop has gone over all places, and has written each.
            return unsafe { assume_written(out) };
        }
        let (columns, mut j) = (out.len(), 0);
        macro_rules! strips {
            ($($lanes:expr),+) => {$(
                while columns - j >= $lanes {
                    let found = places::<T, { $lanes }>(&x[j..], n, stride, &best[j..]);
                    copy_from(&mut out[j..][..$lanes], &found);
                    j += $lanes;
                }
            )+};
        }
        strips!(LANES, FEW, 1);
        // SAFETY: strips of one column are written until there is no further column.
        unsafe { assume_written(out) }
    }
}

/// Goes through the rows backwards, so that the first match is the one that stays.
#[inline(always)]
fn places<T: Number, const L: usize>(x: &[T], n: usize, stride: usize, best: &[T]) -> [i64; L] {
    let (mut place, mut i) = ([0; L], n as i64);
    let best: &[T; L] = best.first_chunk().expect("there is a best element for each column");
    for x in Vectors::<T, L>::new(x, n, stride).rev() {
        i -= 1;
        for l in 0..L {
            place[l] = if same(x[l], best[l]) { i } else { place[l] };
        }
    }
    place
}

#[inline(always)]
fn place_in_row<T: Number>(x: &[T], best: T) -> usize {
    let mut i = 0;
    for block in x.as_chunks::<LANES>().0 {
        let mut found = false;
        for &v in block {
            found |= same(v, best);
        }
        if found {
            break;
        }
        i += LANES;
    }
    while i < x.len() && !same(x[i], best) {
        i += 1;
    }
    i
}

#[inline(always)]
fn same<T: Number>(x: T, best: T) -> bool {
    (x == best) | (x.is_nan() & best.is_nan())
}
