//! Elements by number along one axis, the numbers of which are different at each place of the other axes.

use super::cost::scattering;
use super::reduce::{Axis, Fold};
use crate::memory::unwritten::{Unwritten, Writer};
use crate::team::{self, Pieces};

/// Elements per task.
const CHUNK: usize = 1 << 14;

/// `out[o, i, j] = x[o, places[o, i, j], j]`, for `x` of shape `(outer, n, inner)`.
///
/// # Panics
/// Where a place is not below `n`, or `x`, `places` or `out` has not as many elements.
pub fn gather<'a, T: Copy + Send + Sync>(
    axis: Axis,
    x: &[T],
    places: &[i64],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let Axis { outer, n, inner } = axis;
    assert!(
        x.len() == axis.size() && out.len() == places.len(),
        "gather along: {axis:?} does not fit {} elements, {} places and {} results",
        x.len(),
        places.len(),
        out.len()
    );
    let row = out.len().checked_div(outer).unwrap_or(0);
    let piece = (CHUNK / inner.max(1)).max(1) * inner;
    let pieces = row.div_ceil(piece.max(1)).max(1);
    team::fill(Pieces::of_rows(out, row, piece.max(1)), scattering(places.len(), 4), |task, out| {
        let (o, at) = (task / pieces, task % pieces * piece);
        let (x, mut out) = (&x[o * n * inner..][..n * inner], Writer::new(out));
        let places = &places[o * row + at..][..out.left()];
        if inner == 1 {
            out.extend(places.iter().map(|&i| x[i as usize]));
        } else {
            for places in places.chunks_exact(inner) {
                out.extend(places.iter().enumerate().map(|(j, &i)| x[i as usize * inner + j]));
            }
        }
        out.finish()
    })
}

/// `out[o, places[o, i, j], j]` is folded with `x[o, i, j]`, in order of `i`, for `out` of shape `(outer, n, inner)`.
///
/// # Panics
/// Where a place is not below `n`, or `x`, `places` or `out` has not as many elements.
pub fn fold<K: Fold<In = T, Out = T>, T: Copy + Send + Sync>(
    axis: Axis,
    x: &[T],
    places: &[i64],
    out: &mut [T],
) {
    scatter(axis, x, places, out, K::push);
}

/// `out[o, places[o, i, j], j] = x[o, i, j]`, for `out` of shape `(outer, n, inner)`; of several the last stays.
///
/// # Panics
/// As for [`fold`].
pub fn put<T: Copy + Send + Sync>(axis: Axis, x: &[T], places: &[i64], out: &mut [T]) {
    scatter(axis, x, places, out, |_, x| x);
}

#[inline(always)]
fn scatter<T: Copy + Send + Sync>(
    axis: Axis,
    x: &[T],
    places: &[i64],
    out: &mut [T],
    push: impl Fn(T, T) -> T + Sync,
) {
    let Axis { outer, n, inner } = axis;
    assert!(
        out.len() == axis.size() && x.len() == places.len(),
        "scatter along: {axis:?} does not fit {} elements, {} places and {} results",
        x.len(),
        places.len(),
        out.len()
    );
    if x.is_empty() {
        return;
    }
    let row = x.len() / outer;
    team::each(Pieces::of(out, n * inner), scattering(places.len(), 4), |o, out| {
        let (x, places) = (&x[o * row..][..row], &places[o * row..][..row]);
        for (x, places) in x.chunks_exact(inner).zip(places.chunks_exact(inner)) {
            for (j, (&x, &i)) in x.iter().zip(places).enumerate() {
                let to = &mut out[i as usize * inner + j];
                *to = push(*to, x);
            }
        }
    });
}
