//! Reductions over one axis: sums, products, extremes, counts.
//!
//! Row sums and column sums are one routine, [`fold_lanes`]: it folds a sequence of short vectors lane by lane. The
//! vectors are consecutive pieces of a row, or pieces of consecutive rows. They are merged pairwise, so that the error
//! of a sum of `n` numbers grows with `log n`.

use super::dispatch::{Kernel, Shared, dispatch};
use super::number::Number;
use crate::memory::room;
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
    /// The type of the result.
    type Out: Copy + Send + Sync;
    /// The reduction of the results for parts of the input.
    type Parts: Fold<In = Self::Out, Out = Self::Out>;
    /// The result for no elements; the neutral element of `merge`.
    const START: Self::Out;
    /// The result with one element more.
    fn push(acc: Self::Out, x: Self::In) -> Self::Out;
    /// The result for the elements of both.
    fn merge(a: Self::Out, b: Self::Out) -> Self::Out;
}

macro_rules! folds {
    ($($(#[$doc:meta])* $name:ident: $out:ty, by $parts:ty, $start:expr,
       |$a:ident, $x:ident| $push:expr, |$p:ident, $q:ident| $merge:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<T>(PhantomData<T>);
        impl<T: Number> Fold for $name<T> {
            type In = T;
            type Out = $out;
            type Parts = $parts;
            const START: $out = $start;
            #[inline(always)]
            fn push($a: $out, $x: T) -> $out { $push }
            #[inline(always)]
            fn merge($p: $out, $q: $out) -> $out { $merge }
        }
    )*};
}

folds! {
    /// `x_1 + ... + x_n`; integers in 64 bits, wrapping around.
    Sum: T::Wide, by Sum<T::Wide>, T::Wide::ZERO, |a, x| a.plus(x.widen()), |p, q| p.plus(q);
    /// `x_1 * ... * x_n`; integers in 64 bits, wrapping around.
    Prod: T::Wide, by Prod<T::Wide>, T::Wide::ONE, |a, x| a.times(x.widen()), |p, q| p.times(q);
    /// The largest element, NaN if there is one; the lowest value of the type if there is no element.
    Max: T, by Max<T>, T::LOWEST, |a, x| larger(a, x), |p, q| larger(p, q);
    /// The smallest element, NaN if there is one; the highest value of the type if there is no element.
    Min: T, by Min<T>, T::HIGHEST, |a, x| smaller(a, x), |p, q| smaller(p, q);
}

#[inline(always)]
fn larger<T: Number>(a: T, x: T) -> T {
    if (a >= x) | a.is_nan() { a } else { x }
}

#[inline(always)]
fn smaller<T: Number>(a: T, x: T) -> T {
    if (a <= x) | a.is_nan() { a } else { x }
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
    let mut partial: Vec<K::Out> = room(outer * parts * inner);
    let (from, to) = (Shared(x.cast_mut()), Shared(partial.as_mut_ptr()));
    team::run(outer * parts, nanos::<K>(outer * n * inner), |task| {
        let first = (task / parts) * n + (task % parts) * rows;
        let axis = Axis { outer: 1, n: rows.min(n - (task % parts) * rows), inner };
        let (x, out) = (from.at(first * inner), to.at(task * inner));
        // SAFETY: rows `first..` of `x` are within the caller's; the task's row of `partial` is its own.
        unsafe { dispatch(Rows::<K> { axis, x, out }) };
    });
    let axis = Axis { outer, n: parts, inner };
    // SAFETY: the tasks have written each element of `partial`; `out` is the caller's promise.
    unsafe { reduce_whole::<K::Parts>(axis, partial.as_ptr(), out) };
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
                    1 => *out = fold_row::<K>(x, n),
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
pub(super) unsafe fn fold_row<K: Fold>(x: *const K::In, n: usize) -> K::Out {
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
            *out.add(j).cast() = fold_lanes::<K, LANES>(x.add(j), n, stride);
            j += LANES;
        }
        while j + FEW <= columns {
            *out.add(j).cast() = fold_lanes::<K, FEW>(x.add(j), n, stride);
            j += FEW;
        }
        while j < columns {
            *out.add(j).cast() = fold_lanes::<K, 1>(x.add(j), n, stride);
            j += 1;
        }
    }
}

/// Folds the columns of `(n, inner)`, fewer than [`LANES`], as those of `(n / FEW, FEW * inner)` first.
#[inline(always)]
unsafe fn fold_narrow<K: Fold>(x: *const K::In, n: usize, inner: usize, out: *mut K::Out) {
    let mut wide = [const { MaybeUninit::<K::Out>::uninit() }; FEW * LANES];
    let rows = n / FEW;
    // SAFETY: `fold_columns` writes each of the `FEW * inner` columns; the rows left are the last of the `n`.
    unsafe {
        let width = FEW * inner;
        fold_columns::<K>(x, rows, width, width, wide.as_mut_ptr().cast());
        for j in 0..inner {
            let mut lanes = [K::START; FEW];
            for (l, lane) in lanes.iter_mut().enumerate() {
                *lane = wide[l * inner + j].assume_init();
            }
            let mut acc = fold_across::<K, FEW>(lanes);
            for i in rows * FEW..n {
                acc = K::push(acc, *x.add(i * inner + j));
            }
            *out.add(j) = acc;
        }
    }
}

/// Folds `n` vectors of `L` elements, whose starts are `stride` apart, lane by lane.
#[inline(always)]
pub(super) unsafe fn fold_lanes<K: Fold, const L: usize>(
    x: *const K::In,
    n: usize,
    stride: usize,
) -> [K::Out; L] {
    // SAFETY: the vectors are the caller's; a level is read after it was written and before it is written again.
    unsafe {
        let mut pending = [const { MaybeUninit::<[K::Out; L]>::uninit() }; LEVELS];
        let (mut depth, mut blocks) = (0, 0_usize);
        loop {
            let first = blocks * BLOCK;
            let last = n <= first + BLOCK;
            let mut acc = fold_block::<K, L>(x.add(first * stride), BLOCK.min(n - first), stride);
            for _ in 0..if last { depth } else { blocks.trailing_ones() as usize } {
                depth -= 1;
                acc = merge_lanes::<K, L>(pending[depth].assume_init(), acc);
            }
            if last {
                return acc;
            }
            pending[depth].write(acc);
            depth += 1;
            blocks += 1;
        }
    }
}

#[inline(always)]
unsafe fn fold_block<K: Fold, const L: usize>(x: *const K::In, n: usize, stride: usize) -> [K::Out; L] {
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
fn merge_lanes<K: Fold, const L: usize>(a: [K::Out; L], b: [K::Out; L]) -> [K::Out; L] {
    let mut acc = a;
    for (lane, &b) in acc.iter_mut().zip(&b) {
        *lane = K::merge(*lane, b);
    }
    acc
}

/// Folds the lanes of a vector into one, halving it; `L` is a power of two.
#[inline(always)]
pub(super) fn fold_across<K: Fold, const L: usize>(mut lanes: [K::Out; L]) -> K::Out {
    let mut half = L / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] = K::merge(lanes[l], lanes[l + half]);
        }
        half /= 2;
    }
    lanes[0]
}
