//! The places of elements by their rank along the last axis, without sorting all of them.

use super::cost::reading;
use super::sort::Sortable;
use crate::memory::room;
use crate::memory::unwritten::{Unwritten, Writer};
use crate::team::{self, Pieces};

/// Elements that are compared with the last of those held before any of them is looked at alone.
const BLOCK: usize = 64;
/// Elements per task.
const CHUNK: usize = 1 << 12;

/// A place in a row, as narrow as the row allows: it is sorted together with the key.
trait Place: Ord + Copy + Send + Sync {
    fn of(i: usize) -> Self;
    fn number(self) -> i64;
}

macro_rules! places {
    ($($t:ty)*) => {$(
        impl Place for $t {
            #[inline(always)]
            fn of(i: usize) -> Self {
                i as $t
            }
            #[inline(always)]
            fn number(self) -> i64 {
                self as i64
            }
        }
    )*};
}
places!(u32 u64);

/// The places of the first `k` of each row of `x`, of shape `(rows, n)`, in ascending or descending order: equal elements,
/// and NaNs, keep their order; NaN is last.
///
/// # Panics
/// Where `k` is above `n`, or `x` or `out` has not as many elements.
pub fn first<'a, T: Sortable>(
    [rows, n, k]: [usize; 3],
    x: &[T],
    out: &'a mut Unwritten<i64>,
    descending: bool,
) -> &'a mut [i64] {
    assert!(
        k <= n && x.len() == rows * n && out.len() == rows * k,
        "first: {k} of {rows} rows of {n} are not {} elements and {} results",
        x.len(),
        out.len()
    );
    let key = move |v: T| if descending { v.same_zero().opposite_key() } else { v.same_zero().key() };
    if n <= u32::MAX as usize {
        each_row::<T, u32>([n, k], x, out, |x, held| hold_first(x, k, key, held))
    } else {
        each_row::<T, u64>([n, k], x, out, |x, held| hold_first(x, k, key, held))
    }
}

/// The places of those elements of each row of `x`, of shape `(rows, n)`, that have the given ranks in ascending order, NaN
/// last: of shape `(rows, ranks)`.
///
/// # Panics
/// Where a rank is not below `n` or not above the one before it, or `x` or `out` has not as many elements.
pub fn ranked<'a, T: Sortable>(
    [rows, n]: [usize; 2],
    ranks: &[usize],
    x: &[T],
    out: &'a mut Unwritten<i64>,
) -> &'a mut [i64] {
    assert!(
        ranks.windows(2).all(|w| w[0] < w[1]) && ranks.last().is_none_or(|&r| r < n),
        "ranked: {ranks:?} are not ascending ranks of {n}"
    );
    assert!(
        x.len() == rows * n && out.len() == rows * ranks.len(),
        "ranked: {} of {rows} rows of {n} are not {} elements and {} results",
        ranks.len(),
        x.len(),
        out.len()
    );
    if n <= u32::MAX as usize {
        each_row::<T, u32>([n, ranks.len()], x, out, |x, held| hold_ranked(x, ranks, held))
    } else {
        each_row::<T, u64>([n, ranks.len()], x, out, |x, held| hold_ranked(x, ranks, held))
    }
}

/// For each row of `n` what `hold` finds: `k` keys and places.
fn each_row<'a, T: Sortable, P: Place>(
    [n, k]: [usize; 2],
    x: &[T],
    out: &'a mut Unwritten<i64>,
    hold: impl Fn(&[T], &mut Vec<(T::Key, P)>) + Sync,
) -> &'a mut [i64] {
    let group = (CHUNK / n.max(1)).max(1);
    team::fill(Pieces::of(out, (group * k).max(1)), 8 * reading::<T>(x.len()), |task, out| {
        let mut held = room(n.min(CHUNK));
        let mut places = Writer::new(out);
        let rows = places.left() / k.max(1);
        for x in x[task * group * n..][..rows * n].chunks_exact(n.max(1)) {
            hold(x, &mut held);
            team::look();
            places.extend(held.iter().take(k).map(|&(_, i)| i.number()));
        }
        places.finish()
    })
}

/// Holds the first `k` in order. Whatever comes after the last of them is passed over, a block at a time.
fn hold_first<T: Sortable, P: Place>(
    x: &[T],
    k: usize,
    key: impl Fn(T) -> T::Key,
    held: &mut Vec<(T::Key, P)>,
) {
    held.clear();
    let Some(last) = k.checked_sub(1) else { return };
    let room = (2 * k).max(BLOCK).min(x.len());
    let mut worst = None;
    let cut = |held: &mut Vec<(T::Key, P)>| {
        if held.len() > k {
            held.select_nth_unstable(last);
            held.truncate(k);
        }
        held[held.len() - 1].0
    };
    for (b, block) in x.chunks(BLOCK).enumerate() {
        if let Some(worst) = worst {
            // An equal one that comes later is after it, too.
            let mut any = false;
            for &v in block {
                any |= key(v) < worst;
            }
            if !any {
                continue;
            }
        }
        for (i, &v) in block.iter().enumerate() {
            let key = key(v);
            if worst.is_none_or(|worst| key < worst) {
                held.push((key, P::of(b * BLOCK + i)));
                if held.len() == room && room > k {
                    worst = Some(cut(held));
                }
            }
        }
    }
    if held.len() > k {
        cut(held);
    }
    held.sort_unstable();
}

/// Holds the elements of the given ranks, in this order.
fn hold_ranked<T: Sortable, P: Place>(x: &[T], ranks: &[usize], held: &mut Vec<(T::Key, P)>) {
    held.clear();
    held.extend(x.iter().enumerate().map(|(i, v)| (v.same_zero().key(), P::of(i))));
    put_in_place(held, 0, ranks);
    for (to, &rank) in ranks.iter().enumerate() {
        // Ranks ascend, so that what is overwritten has been read or is not asked for.
        held[to] = held[rank];
    }
}

/// Brings those that have the ranks, counted from `start` on, to their places.
fn put_in_place<P: Ord>(part: &mut [P], start: usize, ranks: &[usize]) {
    if ranks.is_empty() || part.is_empty() {
        return;
    }
    let (below, [rank, above @ ..]) = ranks.split_at(ranks.len() / 2) else { return };
    let (low, _, high) = part.select_nth_unstable(rank - start);
    put_in_place(low, start, below);
    put_in_place(high, rank + 1, above);
}
