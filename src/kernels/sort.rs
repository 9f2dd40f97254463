//! Sorting along the last axis, and binary search.
//!
//! Elements become unsigned keys that are in the same order, NaN last; integers sort faster than a comparison that
//! knows of NaN, and a key and its place in one integer make a sort stable.

use super::cost::sorting;
use super::number::Number;
use crate::memory::room;
use crate::memory::unwritten::{Unwritten, Writer, copy_from, fill_with};
use crate::team::{self, Pieces};

/// An element type with an order-preserving image in the unsigned integers.
pub trait Sortable: Number {
    /// The unsigned integers of the same size.
    type Key: Ord + Copy + Send + Sync;
    /// The image of the value; all NaNs have the highest.
    fn key(self) -> Self::Key;
    /// The image of the value in the opposite order; all NaNs still have the highest.
    fn opposite_key(self) -> Self::Key;
    /// The value, with zeros of either sign made the same.
    fn same_zero(self) -> Self;
}

macro_rules! sortable_floats {
    ($($t:ident: $key:ident, $signed:ident)*) => {$(
        impl Sortable for $t {
            type Key = $key;
            #[inline(always)]
            fn key(self) -> $key {
                let bits = self.to_bits();
                let flip = ((bits as $signed) >> ($key::BITS - 1)) as $key | (1 << ($key::BITS - 1));
                if self.is_nan() { $key::MAX } else { bits ^ flip }
            }
            #[inline(always)]
            fn opposite_key(self) -> $key {
                if self.is_nan() { $key::MAX } else { !self.key() }
            }
            #[inline(always)]
            fn same_zero(self) -> $t {
                self + 0.0
            }
        }
    )*};
}
sortable_floats!(f32: u32, i32 f64: u64, i64);

macro_rules! sortable_integers {
    ($($t:ident: $key:ident)*) => {$(
        impl Sortable for $t {
            type Key = $key;
            #[inline(always)]
            fn key(self) -> $key {
                (self as $key) ^ ($t::MIN as $key)
            }
            #[inline(always)]
            fn opposite_key(self) -> $key {
                !self.key()
            }
            #[inline(always)]
            fn same_zero(self) -> $t {
                self
            }
        }
    )*};
}
sortable_integers!(i8: u8 i16: u16 i32: u32 i64: u64 u8: u8 u16: u16 u32: u32 u64: u64);

impl Sortable for bool {
    type Key = u8;
    #[inline(always)]
    fn key(self) -> u8 {
        u8::from(self)
    }
    #[inline(always)]
    fn opposite_key(self) -> u8 {
        u8::from(!self)
    }
    #[inline(always)]
    fn same_zero(self) -> bool {
        self
    }
}

/// Elements per task.
const CHUNK: usize = 1 << 12;

/// A row of more elements takes so long that it may be broken off.
const LONG: usize = 1 << 20;

fn sort_by<T, K: Ord>(row: &mut [T], key: impl Fn(&T) -> K) {
    if row.len() <= LONG {
        return row.sort_unstable_by_key(key);
    }
    let mut asked = 0u32;
    row.sort_unstable_by_key(|x| {
        asked = asked.wrapping_add(1);
        if asked.is_multiple_of(1 << 16) {
            team::look();
        }
        key(x)
    });
}

/// Whether both are `rows` rows of `n`.
fn check<T, U>(op: &str, rows: usize, n: usize, x: &[T], out: &[U]) {
    let fits = rows.checked_mul(n).is_some_and(|size| x.len() == size && out.len() == size);
    assert!(fits, "{op}: {rows} rows of {n} are not {} elements and {} results", x.len(), out.len());
}

/// Sorts each row of `x`, of shape `(rows, n)`, into `out`; ascending or descending, NaN last in both.
///
/// # Panics
/// Where `x` or `out` has not as many elements.
pub fn sort<'a, T: Sortable>(
    rows: usize,
    n: usize,
    x: &[T],
    out: &'a mut Unwritten<T>,
    descending: bool,
) -> &'a mut [T] {
    check("sort", rows, n, x, out);
    let group = (CHUNK / n.max(1)).max(1) * n;
    team::fill(Pieces::of(out, group.max(1)), sorting(rows, n), |task, out| {
        let out = copy_from(out, &x[task * group..][..out.len()]);
        for row in out.chunks_exact_mut(n) {
            if descending {
                sort_by(row, |v| v.opposite_key());
            } else {
                sort_by(row, |v| v.key());
            }
        }
        out
    })
}

/// The places that sort each row of `x`, of shape `(rows, n)`: equal elements, and NaNs, keep their order; NaN is last.
///
/// # Panics
/// As for [`sort`].
pub fn argsort<'a, T: Sortable>(
    rows: usize,
    n: usize,
    x: &[T],
    out: &'a mut Unwritten<i64>,
    descending: bool,
) -> &'a mut [i64] {
    check("argsort", rows, n, x, out);
    let group = (CHUNK / n.max(1)).max(1) * n;
    team::fill(Pieces::of(out, group.max(1)), sorting(rows, n), |task, out| {
        let mut keyed: Vec<(T::Key, usize)> = room(n);
        let mut places = Writer::new(out);
        for x in x[task * group..][..places.left()].chunks_exact(n) {
            keyed.clear();
            keyed.extend(
                x.iter()
                    .map(|v| v.same_zero())
                    .enumerate()
                    .map(|(i, v)| (if descending { v.opposite_key() } else { v.key() }, i)),
            );
            sort_by(&mut keyed, |&pair| pair);
            places.extend(keyed.iter().map(|&(_, i)| i as i64));
        }
        places.finish()
    })
}

/// Where each value belongs in ascending ones: before those equal to it or, if `right`, after them. NaN is above all
/// numbers.
///
/// # Panics
/// Where there are not as many results as values.
pub fn searchsorted<'a, T: Sortable>(
    sorted: &[T],
    values: &[T],
    right: bool,
    out: &'a mut Unwritten<i64>,
) -> &'a mut [i64] {
    let (n, m) = (sorted.len().max(2), values.len());
    assert!(out.len() == m, "searchsorted: {m} values have {} results", out.len());
    team::fill(Pieces::of(out, CHUNK), sorting(1, n) / n * m, |task, out| {
        let values = &values[task * CHUNK..][..out.len()];
        fill_with(out, |i| {
            let key = values[i].same_zero().key();
            let place = sorted.partition_point(|v| {
                let k = v.same_zero().key();
                if right { k <= key } else { k < key }
            });
            place as i64
        })
    })
}
