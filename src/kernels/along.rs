//! Elements by number along one axis, the numbers of which are different at each place of the other axes.
//!
//! Numbers are read once each: into a block of their own, where they are checked and counted from the front. So they may be
//! anybody's memory, also such that is written meanwhile.

use super::cost::scattering;
use super::reduce::{Axis, Fold};
use crate::memory::unwritten::{Unwritten, Writer};
use crate::team::{self, Pieces, Tiles};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Elements per task.
const CHUNK: usize = 1 << 14;
/// Numbers that are checked together.
const BLOCK: usize = 256;
/// Columns per task where several columns are written to.
const COLUMNS: usize = 64;

/// The numbers of a block, counted from the front; `None` where one is not below `n` and not from `-n` on.
#[inline(always)]
fn from_front<'b>(places: &[i64], n: usize, block: &'b mut [usize; BLOCK]) -> Option<&'b [usize]> {
    let (mut is_out, block) = (false, &mut block[..places.len()]);
    for (to, &i) in block.iter_mut().zip(places) {
        let at = if i < 0 { i.wrapping_add(n as i64) } else { i } as usize;
        is_out |= at >= n;
        *to = at;
    }
    (!is_out).then_some(block)
}

/// `out[o, i, j] = x[o, places[o, i, j], j]`, for `x` of shape `(outer, n, inner)`; negative places count from the end.
/// Says beside the result whether there are all the places; else anything is in it.
///
/// # Panics
/// Where `x`, `places` or `out` has not as many elements.
pub fn gather<'a, T: Copy + Default + Send + Sync>(
    axis: Axis,
    x: &[T],
    places: &[i64],
    out: &'a mut Unwritten<T>,
) -> (&'a mut [T], bool) {
    let Axis { outer, n, inner } = axis;
    assert!(
        x.len() == axis.size() && out.len() == places.len(),
        "gather along: {axis:?} does not fit {} elements, {} places and {} results",
        x.len(),
        places.len(),
        out.len()
    );
    let row = out.len().checked_div(outer).unwrap_or(0);
    let is_out = AtomicBool::new(false);
    let take = |o: usize, first: usize, places: &[i64], out: &mut Writer<'_, T>, block: &mut _| {
        let x = &x[o * n * inner..][..n * inner];
        let (mut j, all) = (first % inner, places.len());
        for (at, places) in places.chunks(BLOCK).enumerate() {
            let Some(found) = from_front(places, n, block) else {
                is_out.store(true, Relaxed);
                out.extend((at * BLOCK..all).map(|_| T::default()));
                return;
            };
            if inner == 1 {
                out.extend(found.iter().map(|&i| x[i]));
                continue;
            }
            out.extend(found.iter().map(|&i| {
                let value = x[i * inner + j];
                j = if j + 1 == inner { 0 } else { j + 1 };
                value
            }));
        }
    };
    // A task has part of a row, or several rows.
    let pieces = row.div_ceil(CHUNK).max(1);
    let (part, group) = if pieces > 1 { (CHUNK, 1) } else { (row, (CHUNK / row.max(1)).max(1)) };
    let share =
        if pieces > 1 { Pieces::of_rows(out, row, part) } else { Pieces::of(out, (group * row).max(1)) };
    let out = team::fill(share, scattering(places.len(), 4), |task, out| {
        let (o, first) = (task / pieces * group, task % pieces * part);
        let mut places = &places[o * row + first..][..out.len()];
        let (mut out, mut block) = (Writer::new(out), [0; BLOCK]);
        for o in o.. {
            let (these, rest) = places.split_at(places.len().min(row));
            if these.is_empty() {
                break;
            }
            take(o, first, these, &mut out, &mut block);
            places = rest;
        }
        out.finish()
    });
    (out, !is_out.into_inner())
}

/// `out[o, places[o, i, j], j]` is folded with `x[o, i, j]`, in order of `i`, for `out` of shape `(outer, n, inner)`;
/// negative places count from the end. Says whether there are all the places; else anything is in `out`.
///
/// # Panics
/// Where `x`, `places` or `out` has not as many elements.
pub fn fold<K: Fold<In = T, Out = T>, T: Copy + Send + Sync>(
    axis: Axis,
    x: &[T],
    places: &[i64],
    out: &mut [T],
) -> bool {
    scatter(axis, x, places, out, K::push)
}

/// `out[o, places[o, i, j], j] = x[o, i, j]`, for `out` of shape `(outer, n, inner)`; of several the last stays.
///
/// Places and result as for [`fold`].
///
/// # Panics
/// As for [`fold`].
pub fn put<T: Copy + Send + Sync>(axis: Axis, x: &[T], places: &[i64], out: &mut [T]) -> bool {
    scatter(axis, x, places, out, |_, x| x)
}

#[inline(always)]
fn scatter<T: Copy + Send + Sync>(
    axis: Axis,
    x: &[T],
    places: &[i64],
    out: &mut [T],
    push: impl Fn(T, T) -> T + Sync,
) -> bool {
    let Axis { outer, n, inner } = axis;
    assert!(
        out.len() == axis.size() && x.len() == places.len(),
        "scatter along: {axis:?} does not fit {} elements, {} places and {} results",
        x.len(),
        places.len(),
        out.len()
    );
    if x.is_empty() || n == 0 {
        return x.is_empty();
    }
    let (row, nanos) = (x.len() / outer, scattering(places.len(), 4));
    let is_out = AtomicBool::new(false);
    if inner <= COLUMNS {
        // A task has several matrices.
        let group = (CHUNK / row).max(1);
        team::each(Pieces::of(out, group * n * inner), nanos, |task, out| {
            let mut block = [0; BLOCK];
            let from = task * group * row;
            let rows = x[from..].chunks(row).zip(places[from..].chunks(row));
            for (out, (x, places)) in out.chunks_mut(n * inner).zip(rows) {
                let mut j = 0;
                for (x, places) in x.chunks(BLOCK).zip(places.chunks(BLOCK)) {
                    let Some(found) = from_front(places, n, &mut block) else {
                        return is_out.store(true, Relaxed);
                    };
                    if inner == 1 {
                        for (&x, &i) in x.iter().zip(found) {
                            out[i] = push(out[i], x);
                        }
                        continue;
                    }
                    for (&x, &i) in x.iter().zip(found) {
                        let to = &mut out[i * inner + j];
                        *to = push(*to, x);
                        j = if j + 1 == inner { 0 } else { j + 1 };
                    }
                }
            }
        });
    } else {
        let tiles = inner.div_ceil(COLUMNS);
        team::each(Tiles::of(out, n, inner, COLUMNS), nanos, |task, mut out| {
            let (o, first) = (task / tiles, task % tiles * COLUMNS);
            let mut block = [0; BLOCK];
            for start in (o * row + first..(o + 1) * row).step_by(inner) {
                let range = start..start + out.columns();
                let Some(found) = from_front(&places[range.clone()], n, &mut block) else {
                    return is_out.store(true, Relaxed);
                };
                for (j, (&x, &i)) in x[range].iter().zip(found).enumerate() {
                    let to = &mut out.row(i)[j];
                    *to = push(*to, x);
                }
            }
        });
    }
    !is_out.into_inner()
}
