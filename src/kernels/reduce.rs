//! Reductions over one axis: sums, products, extremes, counts.
//!
//! Row sums and column sums are one routine, [`fold_lanes`]: it folds a sequence of short vectors lane by lane. The
//! vectors are consecutive pieces of a row, or pieces of consecutive rows. They are merged pairwise, so that the error
//! of a sum of `n` numbers grows with `log n`.

use super::abreast::{ROWS, SHORT, places, turn};
use super::cost::reading;
use super::dispatch::{Compute, compute};
use super::lanes::{END, Vectors, write};
use super::number::Number;
use crate::memory::room;
use crate::memory::unwritten::{Unwritten, assume_written, copy_from, fill_with};
use crate::team::{self, Pieces};
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
    type In: Copy + Sync;
    /// The type of the result.
    type Out: Copy + Send + Sync;
    /// The reduction of the results for parts of the input.
    type Parts: Fold<In = Self::Out, Out = Self::Out>;
    /// The result for no elements; the neutral element of `merge`.
    const START: Self::Out;
    /// The most elements of rows that are better folded side by side.
    const TURNED: usize = 31;
    /// The result with one element more.
    fn push(acc: Self::Out, x: Self::In) -> Self::Out;
    /// The result for the elements of both.
    fn merge(a: Self::Out, b: Self::Out) -> Self::Out;
}

macro_rules! folds {
    ($($(#[$doc:meta])* $name:ident: $out:ty, by $parts:ty, $start:expr,
       |$a:ident, $x:ident| $push:expr, |$p:ident, $q:ident| $merge:expr $(, turned to $turned:literal)?;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<T>(PhantomData<T>);
        impl<T: Number> Fold for $name<T> {
            type In = T;
            type Out = $out;
            type Parts = $parts;
            const START: $out = $start;
            $(const TURNED: usize = $turned;)?
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
    /// The sum of what is not NaN.
    KnownSum: T::Wide, by Sum<T::Wide>, T::Wide::ZERO,
        |a, x| a.plus(if x.is_nan() { T::Wide::ZERO } else { x.widen() }), |p, q| p.plus(q);
    /// `x_1 * ... * x_n`; integers in 64 bits, wrapping around.
    Prod: T::Wide, by Prod<T::Wide>, T::Wide::ONE, |a, x| a.times(x.widen()), |p, q| p.times(q);
    /// The largest element, NaN if there is one; the lowest value of the type if there is no element.
    Max: T, by Max<T>, T::LOWEST, |a, x| larger(a, x), |p, q| larger(p, q), turned to 63;
    /// The smallest element, NaN if there is one; the highest value of the type if there is no element.
    Min: T, by Min<T>, T::HIGHEST, |a, x| smaller(a, x), |p, q| smaller(p, q), turned to 63;
}

/// Whether any element is true.
#[derive(Debug)]
pub struct Any;

impl Fold for Any {
    type In = bool;
    type Out = bool;
    type Parts = Any;
    const START: bool = false;
    #[inline(always)]
    fn push(any: bool, x: bool) -> bool {
        any | x
    }
    #[inline(always)]
    fn merge(a: bool, b: bool) -> bool {
        a | b
    }
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

impl Axis {
    /// How many elements there are.
    #[inline]
    pub fn size(self) -> usize {
        self.outer * self.n * self.inner
    }

    /// How many rows of the axis are folded in one piece. Where they are not all, what the pieces give is folded in turn.
    #[inline]
    pub(crate) fn piece(self) -> usize {
        let rows = BLOCK.max(CHUNK / self.inner.max(1));
        if self.n * self.inner <= CHUNK || self.n <= rows { self.n } else { rows }
    }

    /// How many elements there are without the axis.
    #[inline]
    pub fn places(self) -> usize {
        self.outer * self.inner
    }
}

/// `out[o, j] = fold of x[o, .., j]` for `x` of shape `(outer, n, inner)`. Gives the results.
///
/// # Panics
/// Where `x` or `out` has not as many elements.
pub fn reduce<'a, K: Fold>(axis: Axis, x: &[K::In], out: &'a mut Unwritten<K::Out>) -> &'a mut [K::Out] {
    let Axis { outer, n, inner } = axis;
    assert!(
        x.len() == axis.size() && out.len() == axis.places(),
        "reduce: {axis:?} does not fit {} elements and {} results",
        x.len(),
        out.len()
    );
    let rows = axis.piece();
    if rows == n {
        return reduce_whole::<K>(axis, x, out);
    }
    let parts = n.div_ceil(rows);
    let mut partial = room(outer * parts * inner);
    let share = Pieces::of(&mut partial.spare_capacity_mut()[..outer * parts * inner], inner);
    let partial = team::fill(share, reading::<K::In>(x.len()), |task, out| {
        let first = (task / parts) * n + (task % parts) * rows;
        let axis = Axis { outer: 1, n: rows.min(n - (task % parts) * rows), inner };
        compute(Rows::<K> { axis, x: &x[first * inner..][..axis.size()], out })
    });
    reduce_whole::<K::Parts>(Axis { outer, n: parts, inner }, partial, out)
}

/// [`reduce`], in tasks that have the whole axis.
pub(super) fn reduce_whole<'a, K: Fold>(
    axis: Axis,
    x: &[K::In],
    out: &'a mut Unwritten<K::Out>,
) -> &'a mut [K::Out] {
    let Axis { outer, n, inner } = axis;
    let nanos = reading::<K::In>(x.len());
    if n * inner <= CHUNK || inner <= WIDTH {
        let group = (CHUNK / (n * inner).max(1)).clamp(1, outer.max(1));
        return team::fill(Pieces::of(out, (group * inner).max(1)), nanos, |task, out| {
            let first = task * group;
            let axis = Axis { outer: group.min(outer - first), n, inner };
            compute(Rows::<K> { axis, x: &x[first * n * inner..][..axis.size()], out })
        });
    }
    let tiles = inner.div_ceil(WIDTH);
    team::fill(Pieces::of_rows(out, inner, WIDTH), nanos, |task, out| {
        let (o, first) = (task / tiles, (task % tiles) * WIDTH);
        compute(Columns::<K> { n, stride: inner, x: &x[o * n * inner + first..(o + 1) * n * inner], out })
    })
}

/// [`reduce`] in one piece.
pub(super) struct Rows<'x, 'a, K: Fold> {
    pub(super) axis: Axis,
    pub(super) x: &'x [K::In],
    pub(super) out: &'a mut Unwritten<K::Out>,
}

impl<'a, K: Fold> Compute for Rows<'_, 'a, K> {
    type Out = &'a mut [K::Out];
    /// There is little to gain for small integers.
    const WIDE: bool = size_of::<K::In>() >= 4;
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [K::Out] {
        let Rows { axis: Axis { outer, n, inner }, x, out } = self;
        if inner == 1 && (1..=K::TURNED).contains(&n) && size_of::<K::In>() >= 4 {
            return fold_short::<K>(x, n, out);
        }
        if inner == 1 {
            for (o, out) in out.iter_mut().enumerate() {
                out.write(fold_row::<K>(&x[o * n..][..n]));
            }
            // SAFETY: the loop has gone over all places, and has written each.
            return unsafe { assume_written(out) };
        }
        for o in 0..outer {
            let (x, out) = (&x[o * n * inner..][..n * inner], &mut out[o * inner..][..inner]);
            if inner < LANES && n >= 2 * FEW {
                fold_narrow::<K>(x, n, out);
            } else {
                fold_columns::<K>(x, n, inner, out);
            }
        }
        // SAFETY: both of these write the `inner` results of each of the `outer` rows, and `out` holds no others.
        unsafe { assume_written(out) }
    }
}

/// The folds of as many columns as there are results, over `n` rows that are `stride` apart.
struct Columns<'x, 'a, K: Fold> {
    n: usize,
    stride: usize,
    x: &'x [K::In],
    out: &'a mut Unwritten<K::Out>,
}

impl<'a, K: Fold> Compute for Columns<'_, 'a, K> {
    type Out = &'a mut [K::Out];
    /// There is little to gain for small integers.
    const WIDE: bool = size_of::<K::In>() >= 4;
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [K::Out] {
        fold_columns::<K>(self.x, self.n, self.stride, self.out)
    }
}

/// Folds a row.
#[inline(always)]
pub(super) fn fold_row<K: Fold>(x: &[K::In]) -> K::Out {
    let (n, mut i) = (x.len(), 0);
    // What is left is folded by itself: each of many small elements that met a large sum would lose digits.
    let mut lanes = [K::START; FEW];
    let mut most = [K::START; FEW];
    if n >= LANES {
        let vectors = n / LANES;
        let all = Vectors::new(x, vectors, LANES);
        let wide = if vectors <= BLOCK { fold_block::<K, LANES>(all) } else { fold_lanes::<K, LANES>(all) };
        most = folded::<K>(wide);
        i = vectors * LANES;
    }
    while i + FEW <= n {
        let x = &x[i..][..FEW];
        for l in 0..FEW {
            lanes[l] = K::push(lanes[l], x[l]);
        }
        i += FEW;
    }
    if i < n && n >= FEW {
        // The end of a last vector, without the lanes that are done.
        let (x, done) = (&x[n - FEW..][..FEW], FEW - (n - i));
        for l in 0..FEW {
            lanes[l] = if l < done { lanes[l] } else { K::push(lanes[l], x[l]) };
        }
        i = n;
    }
    if n >= LANES {
        for l in 0..FEW {
            lanes[l] = K::merge(most[l], lanes[l]);
        }
    }
    let mut acc = fold_across::<K, FEW>(lanes);
    for &x in &x[i..] {
        acc = K::push(acc, x);
    }
    acc
}

/// Folds the lanes of a vector into fewer.
#[inline(always)]
fn folded<K: Fold>(mut lanes: [K::Out; LANES]) -> [K::Out; FEW] {
    halve::<K, LANES>(&mut lanes, FEW);
    let mut few = [K::START; FEW];
    few.copy_from_slice(&lanes[..FEW]);
    few
}

/// Folds each of short rows of `n` elements, as many as there are results, side by side.
#[inline(always)]
fn fold_short<'a, K: Fold>(x: &[K::In], n: usize, out: &'a mut Unwritten<K::Out>) -> &'a mut [K::Out] {
    const { assert!(K::TURNED < SHORT) };
    let Some(&first) = x.first() else { return fill_with(out, |_| K::START) };
    let mut columns = [[first; ROWS]; SHORT];
    for (i, out) in out.chunks_mut(ROWS).enumerate() {
        turn(&x[i * ROWS * n..], n, &mut columns);
        let mut acc = [K::START; ROWS];
        for c in places(0..n) {
            for l in 0..ROWS {
                acc[l] = K::push(acc[l], columns[c][l]);
            }
        }
        write(out, &acc);
    }
    // SAFETY: there are as many rows as places, and each gets its own.
    unsafe { assume_written(out) }
}

/// Folds each of as many columns as there are results, over `n` rows that are `stride` apart.
#[inline(always)]
fn fold_columns<'a, K: Fold>(
    x: &[K::In],
    n: usize,
    stride: usize,
    out: &'a mut Unwritten<K::Out>,
) -> &'a mut [K::Out] {
    let (columns, mut j) = (out.len(), 0);
    macro_rules! strips {
        ($($lanes:expr),+) => {$(
            while columns - j >= $lanes {
                let from = x.get(j..).unwrap_or_default();
                copy_from(&mut out[j..][..$lanes], &fold_lanes::<K, { $lanes }>(Vectors::new(from, n, stride)));
                j += $lanes;
            }
        )+};
    }
    strips!(LANES, FEW, 1);
    // SAFETY: strips of one column are written until there is no further column.
    unsafe { assume_written(out) }
}

/// Folds the columns of `n` rows, which are fewer than [`LANES`], as those of rows of [`FEW`] times as many first.
#[inline(always)]
fn fold_narrow<K: Fold>(x: &[K::In], n: usize, out: &mut Unwritten<K::Out>) {
    let (mut wide, inner) = ([const { MaybeUninit::<K::Out>::uninit() }; FEW * LANES], out.len());
    let (rows, width) = (n / FEW, FEW * inner);
    let wide = fold_columns::<K>(x, rows, width, &mut wide[..width]);
    let rest = &x[rows * width..];
    for (j, out) in out.iter_mut().enumerate() {
        let mut lanes = [K::START; FEW];
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane = wide[l * inner + j];
        }
        let mut acc = fold_across::<K, FEW>(lanes);
        for x in rest.chunks_exact(inner) {
            acc = K::push(acc, x[j]);
        }
        out.write(acc);
    }
}

/// Folds vectors lane by lane.
#[inline(always)]
pub(super) fn fold_lanes<K: Fold, const L: usize>(x: Vectors<'_, K::In, L>) -> [K::Out; L] {
    let mut pending = [const { MaybeUninit::<[K::Out; L]>::uninit() }; LEVELS];
    let (mut depth, mut blocks, mut left) = (0, 0_usize, x);
    loop {
        let (block, rest) = left.split(BLOCK);
        let last = rest.len() == 0;
        let mut acc = fold_block::<K, L>(block);
        for _ in 0..if last { depth } else { blocks.trailing_ones() as usize } {
            depth -= 1;
            // SAFETY: the levels below `depth` are written: it grows by one with each write.
            acc = merge_lanes::<K, L>(unsafe { pending[depth].assume_init() }, acc);
        }
        if last {
            return acc;
        }
        pending[depth].write(acc);
        depth += 1;
        blocks += 1;
        left = rest;
    }
}

#[inline(always)]
fn fold_block<K: Fold, const L: usize>(vectors: Vectors<'_, K::In, L>) -> [K::Out; L] {
    let mut acc = [K::START; L];
    for x in vectors {
        for (lane, &x) in acc.iter_mut().zip(x) {
            *lane = K::push(*lane, x);
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
    halve::<K, L>(&mut lanes, 1);
    lanes[0]
}

/// Folds the second half of the lanes into the first, and that again, until so many are left.
#[inline(always)]
fn halve<K: Fold, const L: usize>(lanes: &mut [K::Out; L], left: usize) {
    let mut half = L / 2;
    while half >= left {
        for l in 0..half {
            lanes[l] = K::merge(lanes[l], lanes[l + half]);
        }
        half /= 2;
    }
}

/// Folds the quarters of the lanes of a vector, the first two and the last two before both.
#[inline(always)]
pub(super) fn fold_quarters<K: Fold>(lanes: &[K::Out; 4 * END]) -> [K::Out; END] {
    let mut few = [K::START; END];
    for l in 0..END {
        let a = K::merge(lanes[l], lanes[l + END]);
        let b = K::merge(lanes[l + 2 * END], lanes[l + 3 * END]);
        few[l] = K::merge(a, b);
    }
    few
}
