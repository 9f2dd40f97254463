//! Running reductions along one axis: cumulative sums and products, and any other [`Fold`].

use super::cost::reading;
use super::dispatch::{Compute, compute};
use super::lanes::Vectors;
use super::reduce::{Axis, BLOCK, CHUNK, Fold, Rows, WIDTH};
use crate::memory::filled;
use crate::memory::unwritten::{Unwritten, assume_written, rewritten};
use crate::team::{self, Pieces, Tile, Tiles};
use std::mem::MaybeUninit;

/// Columns scanned side by side.
const LANES: usize = 16;

/// `out[o, i, j] = fold of x[o, 0..=i, j]` for `x` of shape `(outer, n, inner)`. Gives the results.
///
/// # Panics
/// Where `x` or `out` has not as many elements.
pub fn scan<'a, K: Fold>(axis: Axis, x: &[K::In], out: &'a mut Unwritten<K::Out>) -> &'a mut [K::Out] {
    let Axis { outer, n, inner } = axis;
    let size = axis.size();
    assert!(
        x.len() == size && out.len() == size,
        "scan: {axis:?} does not fit {} elements and {} results",
        x.len(),
        out.len()
    );
    if size > 0 {
        let nanos = 4 * reading::<K::In>(size);
        let rows = BLOCK.max(CHUNK / inner);
        if n * inner > CHUNK && n > rows {
            in_parts::<K>(axis, rows, x, out, nanos);
        } else if n * inner > CHUNK && inner > WIDTH {
            let tiles = inner.div_ceil(WIDTH);
            team::each(Tiles::of(out, n, inner, WIDTH), nanos, |task, out| {
                let (o, j) = (task / tiles, task % tiles * WIDTH);
                let x = &x[o * n * inner + j..(o + 1) * n * inner];
                compute(Scan::<K> { stride: inner, x, out, carry: None });
            });
        } else {
            let group = (CHUNK / (n * inner)).clamp(1, outer) * n * inner;
            team::each(Pieces::of(out, group), nanos, |task, out| {
                let x = &x[task * group..][..out.len()];
                for (x, out) in x.chunks_exact(n * inner).zip(out.chunks_exact_mut(n * inner)) {
                    compute(Scan::<K> { stride: inner, x, out: Tile::whole(out, inner), carry: None });
                }
            });
        }
    }
    // SAFETY: the tasks of each way have all of `out` among them, and `Scan` writes every row of every column it is given.
    unsafe { assume_written(out) }
}

/// Scans parts of the axis, of `rows` rows each, from what all rows before them fold to.
fn in_parts<K: Fold>(axis: Axis, rows: usize, x: &[K::In], out: &mut Unwritten<K::Out>, nanos: usize) {
    let Axis { n, inner, .. } = axis;
    let parts = n.div_ceil(rows);
    let carries = carries::<K>(axis, rows, x);
    team::each(Pieces::of_rows(out, n * inner, rows * inner), nanos, |task, out| {
        let at = (task / parts * n + task % parts * rows) * inner;
        let carry = Some(&carries[task * inner..][..inner]);
        let x = &x[at..][..out.len()];
        compute(Scan::<K> { stride: inner, x, out: Tile::whole(out, inner), carry });
    });
}

/// For each part of `rows` rows, the fold of all rows before it; shape `(outer, parts, inner)`.
fn carries<K: Fold>(axis: Axis, rows: usize, x: &[K::In]) -> Vec<K::Out> {
    let Axis { outer, n, inner } = axis;
    let parts = n.div_ceil(rows);
    let mut carries = filled(outer * parts * inner, K::START);
    // The fold of a part goes where the carry of the next part will be; that of the last is not needed.
    team::each(
        Pieces::of_rows(&mut carries, parts * inner, inner),
        reading::<K::In>(x.len()),
        |task, out| {
            let (o, Some(part)) = (task / parts, (task % parts).checked_sub(1)) else { return };
            let x = &x[(o * n + part * rows) * inner..][..rows * inner];
            // SAFETY: `Rows` writes all that it is given to write.
            let out = unsafe { rewritten(out) };
            compute(Rows::<K> { axis: Axis { outer: 1, n: rows, inner }, x, out });
        },
    );
    for of_outer in carries.chunks_exact_mut(parts * inner) {
        for i in inner..parts * inner {
            of_outer[i] = K::merge(of_outer[i - inner], of_outer[i]);
        }
    }
    carries
}

struct Scan<'x, 'a, K: Fold> {
    stride: usize,
    x: &'x [K::In],
    out: Tile<'a, MaybeUninit<K::Out>>,
    /// One accumulator per column to start from, if it is not the fold of nothing.
    carry: Option<&'x [K::Out]>,
}

impl<K: Fold> Compute for Scan<'_, '_, K> {
    type Out = ();
    #[inline(always)]
    fn compute<const FMA: bool>(mut self) {
        let (columns, mut j) = (self.out.columns(), 0);
        while j + LANES <= columns {
            self.columns::<LANES>(j);
            j += LANES;
        }
        while j < columns {
            self.columns::<1>(j);
            j += 1;
        }
    }
}

impl<K: Fold> Scan<'_, '_, K> {
    #[inline(always)]
    fn columns<const L: usize>(&mut self, j: usize) {
        let carry = self.carry.and_then(|carry| carry[j..].first_chunk());
        let mut acc: [K::Out; L] = carry.copied().unwrap_or([K::START; L]);
        let rows = Vectors::<_, L>::new(&self.x[j..], self.out.rows(), self.stride);
        for (x, out) in rows.zip(self.out.strip::<L>(j)) {
            for l in 0..L {
                acc[l] = K::push(acc[l], x[l]);
                out[l].write(acc[l]);
            }
        }
    }
}
