//! Element-wise functions of a row, with their sum, and its largest element.

use crate::kernels::lanes::{read, write};
use crate::kernels::number::{Float, Number};
use crate::kernels::reduce::{Fold, Sum, fold_across, fold_row};
use crate::memory::unwritten::{Unwritten, assume_written, copy_from};
use std::marker::PhantomData;

/// Lanes computed side by side.
pub(super) const LANES: usize = 64;
/// Lanes for what is left of a multiple of [`LANES`], and for short rows.
pub(super) const FEW: usize = 16;
/// Vectors added one after another before they join the total; keeps the error of long sums small.
const BLOCK: usize = 32;

/// An element-wise function of the elements of one or two rows.
pub(in crate::kernels) trait Each<T: Float> {
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, b: T::Lane<FMA>) -> T::Lane<FMA>;
}

/// What an element-wise function reads and writes.
trait Operands<T> {
    /// `L` elements from `i` on, all of which are there.
    fn load<const L: usize>(&self, i: usize) -> [[T; L]; 2];
    /// Takes as many results.
    fn store<const L: usize>(&mut self, i: usize, v: &[T; L]);
    /// [`FEW`] elements from `i` on, those that are there. They may be beyond the end of a row: a whole vector is read
    /// faster than a part of one.
    fn load_rest(&self, i: usize) -> [[T; FEW]; 2];
    /// Takes the results from `i` on that are left of `n`.
    fn store_rest(&mut self, i: usize, n: usize, v: &[T; FEW]);
}

struct Reading<'a, T>([&'a [T]; 2]);

impl<T: Float> Operands<T> for Reading<'_, T> {
    #[inline(always)]
    fn load<const L: usize>(&self, i: usize) -> [[T; L]; 2] {
        self.0.map(|x| whole(&x[i..][..L]))
    }
    #[inline(always)]
    fn store<const L: usize>(&mut self, _: usize, _: &[T; L]) {}
    #[inline(always)]
    fn load_rest(&self, i: usize) -> [[T; FEW]; 2] {
        self.0.map(|x| read(&x[i..], T::ZERO))
    }
    #[inline(always)]
    fn store_rest(&mut self, _: usize, _: usize, _: &[T; FEW]) {}
}

struct Writing<'a, 'o, T>(Reading<'a, T>, &'o mut Unwritten<T>);

impl<T: Float> Operands<T> for Writing<'_, '_, T> {
    #[inline(always)]
    fn load<const L: usize>(&self, i: usize) -> [[T; L]; 2] {
        self.0.load(i)
    }
    #[inline(always)]
    fn store<const L: usize>(&mut self, i: usize, v: &[T; L]) {
        copy_from(&mut self.1[i..][..L], v);
    }
    #[inline(always)]
    fn load_rest(&self, i: usize) -> [[T; FEW]; 2] {
        self.0.load_rest(i)
    }
    #[inline(always)]
    fn store_rest(&mut self, i: usize, n: usize, v: &[T; FEW]) {
        write(&mut self.1[i..n.min(i + FEW)], v);
    }
}

struct Changing<'a, T>(&'a mut [T], Option<&'a [T]>);

impl<T: Float> Operands<T> for Changing<'_, T> {
    #[inline(always)]
    fn load<const L: usize>(&self, i: usize) -> [[T; L]; 2] {
        let a = whole(&self.0[i..][..L]);
        [a, self.1.map_or(a, |b| whole(&b[i..][..L]))]
    }
    #[inline(always)]
    fn store<const L: usize>(&mut self, i: usize, v: &[T; L]) {
        self.0[i..][..L].copy_from_slice(v);
    }
    #[inline(always)]
    fn load_rest(&self, i: usize) -> [[T; FEW]; 2] {
        let a = read(&self.0[i..], T::ZERO);
        [a, self.1.map_or(a, |b| read(&b[i..], T::ZERO))]
    }
    #[inline(always)]
    fn store_rest(&mut self, i: usize, n: usize, v: &[T; FEW]) {
        let to = &mut self.0[i..n.min(i + FEW)];
        to.copy_from_slice(&v[..to.len()]);
    }
}

/// `L` elements that are all of a slice.
#[inline(always)]
fn whole<T: Float, const L: usize>(x: &[T]) -> [T; L] {
    std::array::from_fn(|l| x[l])
}

/// `f(a, b)` for the elements of a row of `n`. Gives their sum if `SUM`.
#[inline(always)]
fn walk<T: Float, K: Each<T>, const FMA: bool, const SUM: bool>(
    k: &K,
    mut row: impl Operands<T>,
    n: usize,
) -> T {
    let mut total = T::ZERO;
    let mut i = 0;
    if n >= LANES {
        let mut sums = [T::ZERO; LANES];
        while i + LANES <= n {
            let mut block = [T::ZERO; LANES];
            let end = n.min(i + BLOCK * LANES);
            while i + LANES <= end {
                let v = of_lanes::<T, K, FMA, LANES>(k, row.load(i));
                if SUM {
                    for l in 0..LANES {
                        block[l] = block[l].plus(v[l]);
                    }
                }
                row.store(i, &v);
                i += LANES;
            }
            for l in 0..LANES {
                sums[l] = sums[l].plus(block[l]);
            }
        }
        total = fold_across::<Sum<T>, LANES>(sums);
    }
    while i < n {
        let v = of_lanes::<T, K, FMA, FEW>(k, row.load_rest(i));
        if SUM {
            let few = std::array::from_fn(|l| if l < n - i { v[l] } else { T::ZERO });
            total = total.plus(fold_across::<Sum<T>, FEW>(few));
        }
        row.store_rest(i, n, &v);
        i += FEW;
    }
    total
}

#[inline(always)]
fn of_lanes<T: Float, K: Each<T>, const FMA: bool, const L: usize>(k: &K, [mut a, b]: [[T; L]; 2]) -> [T; L] {
    for l in 0..L {
        a[l] = T::of::<FMA>(k.each::<FMA>(a[l].lane::<FMA>(), b[l].lane::<FMA>()));
    }
    a
}

/// The sum of `f(a, b)` over the first `n` elements.
#[inline(always)]
pub(in crate::kernels) fn sum_of<T: Float, K: Each<T>, const FMA: bool>(
    k: &K,
    [a, b]: [&[T]; 2],
    n: usize,
) -> T {
    walk::<T, K, FMA, true>(k, Reading([a, b]), n)
}

/// Writes `f(a, b)` over a row as long as `out`. Gives it, and its sum if `SUM`.
#[inline(always)]
pub(in crate::kernels) fn each<'o, T: Float, K: Each<T>, const FMA: bool, const SUM: bool>(
    k: &K,
    [a, b]: [&[T]; 2],
    out: &'o mut Unwritten<T>,
) -> (&'o mut [T], T) {
    let n = out.len();
    let sum = walk::<T, K, FMA, SUM>(k, Writing(Reading([a, b]), out), n);
    // SAFETY: `walk` stores vectors one after the other and then the rest of `n` elements, and `Writing` writes what it stores.
    (unsafe { assume_written(out) }, sum)
}

/// Puts `f(x, b)`, or `f(x, x)`, in the place of the first `n` elements. Gives their sum if `SUM`.
#[inline(always)]
pub(in crate::kernels) fn change<T: Float, K: Each<T>, const FMA: bool, const SUM: bool>(
    k: &K,
    x: &mut [T],
    b: Option<&[T]>,
    n: usize,
) -> T {
    walk::<T, K, FMA, SUM>(k, Changing(x, b), n)
}

/// The largest element that is not NaN: one instruction, and the sum that follows finds the NaN.
struct Highest<T>(PhantomData<T>);

impl<T: Number> Fold for Highest<T> {
    type In = T;
    type Out = T;
    type Parts = Self;
    const START: T = T::LOWEST;
    #[inline(always)]
    fn push(acc: T, x: T) -> T {
        if x > acc { x } else { acc }
    }
    #[inline(always)]
    fn merge(a: T, b: T) -> T {
        if b > a { b } else { a }
    }
}

/// The [`Highest`] of the first `n` elements; more may be read.
#[inline(always)]
pub(in crate::kernels) fn highest<T: Float>(x: &[T], n: usize) -> T {
    if n >= LANES {
        return fold_row::<Highest<T>>(&x[..n]);
    }
    let mut lanes = [T::LOWEST; FEW];
    for i in (0..n).step_by(FEW) {
        let x = read::<T, FEW>(&x[i..], T::LOWEST);
        for l in 0..FEW {
            lanes[l] = Highest::<T>::push(lanes[l], if i + l < n { x[l] } else { T::LOWEST });
        }
    }
    fold_across::<Highest<T>, FEW>(lanes)
}
