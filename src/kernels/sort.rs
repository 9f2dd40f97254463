//! Sorting along the last axis, and binary search.
//!
//! Elements become unsigned keys that are in the same order, NaN last; integers sort faster than a comparison that
//! knows of NaN, and a key and its place in one integer make a sort stable.

use super::dispatch::Shared;
use super::number::Number;
use crate::memory::room;
use crate::team;

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
/// Nanoseconds per element and binary digit of the length of a row.
const NANOS: usize = 2;

fn nanos(rows: usize, n: usize) -> usize {
    rows * n * (n.max(2).ilog2() as usize) * NANOS
}

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

/// Sorts each row of `x`, of shape `(rows, n)`, into `out`; ascending or descending, NaN last in both.
///
/// # Safety
/// `x` must be readable and `out` writable for `rows * n` elements; they may be the same but not overlap otherwise.
pub unsafe fn sort<T: Sortable>(rows: usize, n: usize, x: *const T, out: *mut T, descending: bool) {
    let group = (CHUNK / n.max(1)).max(1);
    let (from, to) = (Shared(x.cast_mut()), Shared(out));
    team::run(rows.div_ceil(group), nanos(rows, n), |task| {
        for row in task * group..rows.min((task + 1) * group) {
            // SAFETY: row `row` of the caller's arrays; `copy` allows them to be the same.
            let out = unsafe {
                std::ptr::copy(from.at(row * n), to.at(row * n), n);
                std::slice::from_raw_parts_mut(to.at(row * n), n)
            };
            if descending {
                sort_by(out, |v| v.opposite_key());
            } else {
                sort_by(out, |v| v.key());
            }
        }
    });
}

/// The places that sort each row of `x`, of shape `(rows, n)`: equal elements, and NaNs, keep their order; NaN is last.
///
/// # Safety
/// `x` must be readable and `out` writable for `rows * n` elements.
pub unsafe fn argsort<T: Sortable>(rows: usize, n: usize, x: *const T, out: *mut i64, descending: bool) {
    let group = (CHUNK / n.max(1)).max(1);
    let (from, to) = (Shared(x.cast_mut()), Shared(out));
    team::run(rows.div_ceil(group), nanos(rows, n), |task| {
        let mut keyed: Vec<(T::Key, usize)> = room(n);
        for row in task * group..rows.min((task + 1) * group) {
            // SAFETY: row `row` of the caller's arrays.
            let (x, out) = unsafe {
                (
                    std::slice::from_raw_parts(from.at(row * n).cast_const(), n),
                    std::slice::from_raw_parts_mut(to.at(row * n), n),
                )
            };
            keyed.clear();
            keyed.extend(
                x.iter()
                    .map(|v| v.same_zero())
                    .enumerate()
                    .map(|(i, v)| (if descending { v.opposite_key() } else { v.key() }, i)),
            );
            sort_by(&mut keyed, |&pair| pair);
            for (place, &(_, i)) in out.iter_mut().zip(&keyed) {
                *place = i as i64;
            }
        }
    });
}

/// Where each of `m` values belongs in `n` ascending ones: before those equal to it or, if `right`, after them.
/// NaN is above all numbers.
///
/// # Safety
/// `sorted` must be readable for `n` elements, `values` for `m`, and `out` writable for `m`.
pub unsafe fn searchsorted<T: Sortable>(
    sorted: *const T,
    n: usize,
    values: *const T,
    m: usize,
    right: bool,
    out: *mut i64,
) {
    // SAFETY: the caller's promise.
    let sorted = unsafe { std::slice::from_raw_parts(sorted, n) };
    let (values, out) = (Shared(values.cast_mut()), Shared(out));
    team::run(m.div_ceil(CHUNK), nanos(1, n.max(2)) / n.max(2) * m, |task| {
        for i in task * CHUNK..m.min((task + 1) * CHUNK) {
            // SAFETY: `i < m`.
            let key = unsafe { *values.at(i) }.same_zero().key();
            let place = sorted.partition_point(|v| {
                let k = v.same_zero().key();
                if right { k <= key } else { k < key }
            });
            // SAFETY: `i < m`.
            unsafe { *out.at(i) = place as i64 };
        }
    });
}
