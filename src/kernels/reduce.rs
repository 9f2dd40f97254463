//! Reductions over one axis: sums, products, extremes, counts.
//!
//! Row sums and column sums are one routine, [`fold_lanes`]: it folds a sequence of short vectors lane by lane. The
//! vectors are consecutive pieces of a row, or pieces of consecutive rows. They are merged pairwise, so that the error
//! of a sum of `n` numbers grows with `log n`.

use super::dispatch::{Kernel, Shared, dispatch};
use super::number::Number;
pub use super::places::{argmax, argmin};
use crate::team;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// An array seen from one of its axes: row-major `(outer, n, inner)`, of which `n` is the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The product of the sizes before the axis.
    pub outer: usize,
    /// The size of the axis.
    pub n: usize,
    /// The product of the sizes after the axis.
    pub inner: usize,
}

/// A reduction: a row of the table below.
pub trait Fold: 'static {
    /// The element type of the input.
    type In: Copy;
    /// What is kept while folding.
    type Acc: Copy + Send + Sync;
    /// The element type of the result.
    type Out: Copy;
    /// The accumulator of no elements; the neutral element of `merge`.
    const START: Self::Acc;
    /// The accumulator with one element more.
    fn push(acc: Self::Acc, x: Self::In) -> Self::Acc;
    /// The accumulator of the elements of both.
    fn merge(a: Self::Acc, b: Self::Acc) -> Self::Acc;
    /// The result.
    fn finish(acc: Self::Acc) -> Self::Out;
}

macro_rules! folds {
    ($($(#[$doc:meta])* $name:ident: $acc:ty => $out:ty, $start:expr,
       |$a:ident, $x:ident| $push:expr, |$p:ident, $q:ident| $merge:expr, |$f:ident| $finish:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<T>(PhantomData<T>);
        impl<T: Number> Fold for $name<T> {
            type In = T;
            type Acc = $acc;
            type Out = $out;
            const START: $acc = $start;
            #[inline(always)]
            fn push($a: $acc, $x: T) -> $acc { $push }
            #[inline(always)]
            fn merge($p: $acc, $q: $acc) -> $acc { $merge }
            #[inline(always)]
            fn finish($f: $acc) -> $out { $finish }
        }
    )*};
}

folds! {
    /// `x_1 + ... + x_n`; integers in 64 bits, wrapping around.
    Sum: T::Wide => T::Wide, T::Wide::ZERO, |a, x| a.plus(x.widen()), |p, q| p.plus(q), |f| f;
    /// `x_1 * ... * x_n`; integers in 64 bits, wrapping around.
    Prod: T::Wide => T::Wide, T::Wide::ONE, |a, x| a.times(x.widen()), |p, q| p.times(q), |f| f;
    /// The largest element, NaN if there is one; the lowest value of the type if there is no element.
    Max: T => T, T::LOWEST, |a, x| larger(a, x), |p, q| larger(p, q), |f| f;
    /// The smallest element, NaN if there is one; the highest value of the type if there is no element.
    Min: T => T, T::HIGHEST, |a, x| smaller(a, x), |p, q| smaller(p, q), |f| f;
    /// Whether an element is not zero.
    Any: bool => bool, false, |a, x| a | (x != T::ZERO), |p, q| p | q, |f| f;
    /// Whether no element is zero.
    All: bool => bool, true, |a, x| a & (x != T::ZERO), |p, q| p & q, |f| f;
    /// How many elements are not zero.
    CountNonzero: i64 => i64, 0, |a, x| a + i64::from(x != T::ZERO), |p, q| p + q, |f| f;
}

#[inline(always)]
fn larger<T: Number>(a: T, x: T) -> T {
    if (a >= x) | a.is_nan() { a } else { x }
}

#[inline(always)]
fn smaller<T: Number>(a: T, x: T) -> T {
    if (a <= x) | a.is_nan() { a } else { x }
}

/// The fold `K` of what `K` has accumulated over parts of the axis.
struct Merged<K>(PhantomData<K>);

impl<K: Fold> Fold for Merged<K> {
    type In = K::Acc;
    type Acc = K::Acc;
    type Out = K::Out;
    const START: K::Acc = K::START;
    #[inline(always)]
    fn push(acc: K::Acc, x: K::Acc) -> K::Acc {
        K::merge(acc, x)
    }
    #[inline(always)]
    fn merge(a: K::Acc, b: K::Acc) -> K::Acc {
        K::merge(a, b)
    }
    #[inline(always)]
    fn finish(acc: K::Acc) -> K::Out {
        K::finish(acc)
    }
}

/// The fold `K` over a part of the axis, unfinished.
pub(super) struct Partial<K>(PhantomData<K>);

impl<K: Fold> Fold for Partial<K> {
    type In = K::In;
    type Acc = K::Acc;
    type Out = K::Acc;
    const START: K::Acc = K::START;
    #[inline(always)]
    fn push(acc: K::Acc, x: K::In) -> K::Acc {
        K::push(acc, x)
    }
    #[inline(always)]
    fn merge(a: K::Acc, b: K::Acc) -> K::Acc {
        K::merge(a, b)
    }
    #[inline(always)]
    fn finish(acc: K::Acc) -> K::Acc {
        acc
    }
}

/// Elements per task.
pub(super) const CHUNK: usize = 1 << 15;
/// Columns per task, where a task can't have whole rows.
pub(super) const WIDTH: usize = 1 << 11;
/// Lanes folded side by side: four AVX-512 registers of `f32`, enough to hide the latency of an addition.
pub(super) const LANES: usize = 64;
/// Lanes for what is left of a multiple of [`LANES`].
pub(super) const FEW: usize = 8;
/// Vectors folded one after another; beyond that, pairwise.
pub(super) const BLOCK: usize = 32;
/// Levels of the pairwise merge: enough for `BLOCK * 2^LEVELS` vectors.
const LEVELS: usize = 40;

/// `out[o, j] = fold of x[o, .., j]` for `x` of shape `(outer, n, inner)`.
///
/// # Safety
/// `x` must be readable for `outer * n * inner` elements, `out` writable for `outer * inner`; they must not overlap.
pub unsafe fn reduce<K: Fold>(axis: Axis, x: *const K::In, out: *mut K::Out) {
    let Axis { outer, n, inner } = axis;
    let rows = BLOCK.max(CHUNK / inner.max(1));
    if n * inner <= CHUNK || n <= rows {
        // SAFETY: the caller's promise.
        return unsafe { reduce_whole::<K>(axis, x, out) };
    }
    let parts = n.div_ceil(rows);
    let mut partial: Vec<K::Acc> = Vec::with_capacity(outer * parts * inner);
    let (from, to) = (Shared(x.cast_mut()), Shared(partial.as_mut_ptr()));
    team::run(outer * parts, nanos::<K>(outer * n * inner), |task| {
        let first = (task / parts) * n + (task % parts) * rows;
        let axis = Axis { outer: 1, n: rows.min(n - (task % parts) * rows), inner };
        let (x, out) = (from.at(first * inner), to.at(task * inner));
        // SAFETY: rows `first..` of `x` are within the caller's; the task's row of `partial` is its own.
        unsafe { dispatch(Rows::<Partial<K>> { axis, x, out }) };
    });
    let axis = Axis { outer, n: parts, inner };
    // SAFETY: the tasks have written each element of `partial`; `out` is the caller's promise.
    unsafe { reduce_whole::<Merged<K>>(axis, partial.as_ptr(), out) };
}

/// [`reduce`], in tasks that have the whole axis.
unsafe fn reduce_whole<K: Fold>(axis: Axis, x: *const K::In, out: *mut K::Out) {
    let Axis { outer, n, inner } = axis;
    if outer * inner == 0 {
        return;
    }
    let (from, to) = (Shared(x.cast_mut()), Shared(out));
    if n * inner <= CHUNK || inner <= WIDTH {
        let group = (CHUNK / (n * inner).max(1)).clamp(1, outer);
        return team::run(outer.div_ceil(group), nanos::<K>(outer * n * inner), |task| {
            let first = task * group;
            let axis = Axis { outer: group.min(outer - first), n, inner };
            let (x, out) = (from.at(first * n * inner), to.at(first * inner));
            // SAFETY: the task's share of the caller's arrays.
            unsafe { dispatch(Rows::<K> { axis, x, out }) };
        });
    }
    let tiles = inner.div_ceil(WIDTH);
    team::run(outer * tiles, nanos::<K>(outer * n * inner), |task| {
        let (o, first) = (task / tiles, (task % tiles) * WIDTH);
        let columns = WIDTH.min(inner - first);
        let (x, out) = (from.at(o * n * inner + first), to.at(o * inner + first));
        // SAFETY: the task's columns of the caller's arrays.
        unsafe { dispatch(Columns::<K> { n, stride: inner, columns, x, out }) };
    });
}

/// An estimate of the time that `elements` take: that of reading them.
pub(super) fn nanos<K: Fold>(elements: usize) -> usize {
    elements * size_of::<K::In>() / 32
}

/// [`reduce`] in one piece.
pub(super) struct Rows<K: Fold> {
    pub(super) axis: Axis,
    pub(super) x: *const K::In,
    pub(super) out: *mut K::Out,
}

impl<K: Fold> Kernel for Rows<K> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let Axis { outer, n, inner } = self.axis;
        for o in 0..outer {
            // SAFETY: row `o` of the arrays that the caller vouches for.
            unsafe {
                let (x, out) = (self.x.add(o * n * inner), self.out.add(o * inner));
                match inner {
                    1 => *out = K::finish(fold_row::<K>(x, n)),
                    2..LANES if n >= 2 * FEW => fold_narrow::<K>(x, n, inner, out),
                    _ => fold_columns::<K>(x, n, inner, inner, out),
                }
            }
        }
    }
}

struct Columns<K: Fold> {
    n: usize,
    stride: usize,
    columns: usize,
    x: *const K::In,
    out: *mut K::Out,
}

impl<K: Fold> Kernel for Columns<K> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        // SAFETY: the caller vouches for the arrays.
        unsafe { fold_columns::<K>(self.x, self.n, self.stride, self.columns, self.out) }
    }
}

/// Folds `n` consecutive elements.
#[inline(always)]
pub(super) unsafe fn fold_row<K: Fold>(x: *const K::In, n: usize) -> K::Acc {
    let mut acc = K::START;
    let mut i = 0;
    // SAFETY: all elements read are among the `n`.
    unsafe {
        if n >= LANES {
            let vectors = n / LANES;
            acc = fold_across::<K, LANES>(fold_lanes::<K, LANES>(x, vectors, LANES));
            i = vectors * LANES;
        }
        if n - i >= FEW {
            let vectors = (n - i) / FEW;
            acc = K::merge(acc, fold_across::<K, FEW>(fold_lanes::<K, FEW>(x.add(i), vectors, FEW)));
            i += vectors * FEW;
        }
        while i < n {
            acc = K::push(acc, *x.add(i));
            i += 1;
        }
    }
    acc
}

/// Folds each of `columns` columns over `n` rows that are `stride` apart.
#[inline(always)]
unsafe fn fold_columns<K: Fold>(x: *const K::In, n: usize, stride: usize, columns: usize, out: *mut K::Out) {
    let mut j = 0;
    // SAFETY: columns `j..j + L` are read and written, which the loop conditions keep within `columns`.
    unsafe {
        while j + LANES <= columns {
            finish_lanes::<K, LANES>(fold_lanes::<K, LANES>(x.add(j), n, stride), out.add(j));
            j += LANES;
        }
        while j + FEW <= columns {
            finish_lanes::<K, FEW>(fold_lanes::<K, FEW>(x.add(j), n, stride), out.add(j));
            j += FEW;
        }
        while j < columns {
            finish_lanes::<K, 1>(fold_lanes::<K, 1>(x.add(j), n, stride), out.add(j));
            j += 1;
        }
    }
}

#[inline(always)]
unsafe fn finish_lanes<K: Fold, const L: usize>(lanes: [K::Acc; L], out: *mut K::Out) {
    for (l, &acc) in lanes.iter().enumerate() {
        // SAFETY: the caller has room for `L` results.
        unsafe { *out.add(l) = K::finish(acc) };
    }
}

/// Folds the columns of `(n, inner)`, fewer than [`LANES`], as those of `(n / FEW, FEW * inner)` first.
#[inline(always)]
unsafe fn fold_narrow<K: Fold>(x: *const K::In, n: usize, inner: usize, out: *mut K::Out) {
    let mut wide = [const { MaybeUninit::<K::Acc>::uninit() }; FEW * LANES];
    let rows = n / FEW;
    // SAFETY: `fold_columns` writes each of the `FEW * inner` columns; the rows left are the last of the `n`.
    unsafe {
        let width = FEW * inner;
        fold_columns::<Partial<K>>(x, rows, width, width, wide.as_mut_ptr().cast());
        for j in 0..inner {
            let mut lanes = [K::START; FEW];
            for (l, lane) in lanes.iter_mut().enumerate() {
                *lane = wide[l * inner + j].assume_init();
            }
            let mut acc = fold_across::<K, FEW>(lanes);
            for i in rows * FEW..n {
                acc = K::push(acc, *x.add(i * inner + j));
            }
            *out.add(j) = K::finish(acc);
        }
    }
}

/// Folds `n` vectors of `L` elements, whose starts are `stride` apart, lane by lane.
#[inline(always)]
unsafe fn fold_lanes<K: Fold, const L: usize>(x: *const K::In, n: usize, stride: usize) -> [K::Acc; L] {
    // SAFETY: the vectors are the caller's; a level is read after it was written and before it is written again.
    unsafe {
        if n <= BLOCK {
            return fold_block::<K, L>(x, n, stride);
        }
        let mut pending = [const { MaybeUninit::<[K::Acc; L]>::uninit() }; LEVELS];
        let (mut depth, mut blocks) = (0, 0_usize);
        while (blocks + 1) * BLOCK <= n {
            let mut acc = fold_block::<K, L>(x.add(blocks * BLOCK * stride), BLOCK, stride);
            for _ in 0..blocks.trailing_ones() {
                depth -= 1;
                acc = merge_lanes::<K, L>(pending[depth].assume_init(), acc);
            }
            pending[depth].write(acc);
            depth += 1;
            blocks += 1;
        }
        let mut acc = fold_block::<K, L>(x.add(blocks * BLOCK * stride), n - blocks * BLOCK, stride);
        while depth > 0 {
            depth -= 1;
            acc = merge_lanes::<K, L>(pending[depth].assume_init(), acc);
        }
        acc
    }
}

#[inline(always)]
unsafe fn fold_block<K: Fold, const L: usize>(x: *const K::In, n: usize, stride: usize) -> [K::Acc; L] {
    let mut acc = [K::START; L];
    for i in 0..n {
        for (l, lane) in acc.iter_mut().enumerate() {
            // SAFETY: element `l` of vector `i`.
            *lane = K::push(*lane, unsafe { *x.add(i * stride + l) });
        }
    }
    acc
}

#[inline(always)]
fn merge_lanes<K: Fold, const L: usize>(a: [K::Acc; L], b: [K::Acc; L]) -> [K::Acc; L] {
    let mut acc = a;
    for (lane, &b) in acc.iter_mut().zip(&b) {
        *lane = K::merge(*lane, b);
    }
    acc
}

/// Folds the lanes of a vector into one, halving it; `L` is a power of two.
#[inline(always)]
pub(super) fn fold_across<K: Fold, const L: usize>(mut lanes: [K::Acc; L]) -> K::Acc {
    let mut half = L / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] = K::merge(lanes[l], lanes[l + half]);
        }
        half /= 2;
    }
    lanes[0]
}
