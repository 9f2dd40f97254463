//! Element-wise functions of a row, with their sum, and its largest element.

use crate::kernels::lanes::{END, after, read, write};
use crate::kernels::number::{Float, Number};
use crate::kernels::reduce::{Fold, Sum, fold_across, fold_quarters};
use crate::memory::unwritten::{Unwritten, assume_written, copy_from};
use std::marker::PhantomData;

/// Lanes computed side by side.
pub(super) const LANES: usize = 64;
/// Lanes for what is left of a multiple of [`LANES`], the last of them with some that are done, and for short rows.
pub(super) const FEW: usize = END;
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
    /// Takes the last results, those that are new.
    fn store_new(&mut self, i: usize, is_new: &[u32; FEW], v: &[T; FEW]);
    /// The elements of a row that is shorter than [`FEW`]. They may be beyond its end: a whole vector is read faster than a
    /// part of one.
    fn load_short(&self) -> [[T; FEW]; 2];
    /// Takes the results of such a row of `n`.
    fn store_short(&mut self, n: usize, v: &[T; FEW]);
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
    fn store_new(&mut self, _: usize, _: &[u32; FEW], _: &[T; FEW]) {}
    #[inline(always)]
    fn load_short(&self) -> [[T; FEW]; 2] {
        self.0.map(|x| read(x, T::ZERO))
    }
    #[inline(always)]
    fn store_short(&mut self, _: usize, _: &[T; FEW]) {}
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
    fn store_new(&mut self, i: usize, _: &[u32; FEW], v: &[T; FEW]) {
        // The others are what is there.
        self.store(i, v);
    }
    #[inline(always)]
    fn load_short(&self) -> [[T; FEW]; 2] {
        self.0.load_short()
    }
    #[inline(always)]
    fn store_short(&mut self, n: usize, v: &[T; FEW]) {
        write(&mut self.1[..n], v);
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
    fn store_new(&mut self, i: usize, is_new: &[u32; FEW], v: &[T; FEW]) {
        let to = &mut self.0[i..][..FEW];
        for l in 0..FEW {
            to[l] = if is_new[l] != 0 { v[l] } else { to[l] };
        }
    }
    #[inline(always)]
    fn load_short(&self) -> [[T; FEW]; 2] {
        let a = read(self.0, T::ZERO);
        [a, self.1.map_or(a, |b| read(b, T::ZERO))]
    }
    #[inline(always)]
    fn store_short(&mut self, n: usize, v: &[T; FEW]) {
        self.0[..n].copy_from_slice(&v[..n]);
    }
}

/// `L` elements that are all of a slice.
#[inline(always)]
fn whole<T: Float, const L: usize>(x: &[T]) -> [T; L] {
    let mut vector = [T::ZERO; L];
    for (to, from) in vector.iter_mut().zip(x) {
        *to = *from;
    }
    vector
}

/// `f(a, b)` for the elements of a row of `n`. Gives their sum if `SUM`.
#[inline(always)]
fn walk<T: Float, K: Each<T>, const FMA: bool, const SUM: bool>(
    k: &K,
    mut row: impl Operands<T>,
    n: usize,
) -> T {
    let (mut sums, mut i) = ([T::ZERO; FEW], 0);
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
        let block = fold_quarters::<Sum<T>>(&block);
        for l in 0..FEW {
            sums[l] = sums[l].plus(block[l]);
        }
    }
    // The last vector ends where the row does, and begins with lanes that are done.
    while i < n && n >= FEW {
        let at = i.min(n - FEW);
        let (v, is_new) = (of_lanes::<T, K, FMA, FEW>(k, row.load(at)), after(i - at));
        row.store_new(at, is_new, &v);
        for l in 0..FEW {
            sums[l] = sums[l].plus(if is_new[l] != 0 { v[l] } else { T::ZERO });
        }
        i = at + FEW;
    }
    if i < n {
        let v = of_lanes::<T, K, FMA, FEW>(k, row.load_short());
        row.store_short(n, &v);
        for l in 0..FEW {
            sums[l] = if l < n { v[l] } else { T::ZERO };
        }
    }
    if SUM { fold_across::<Sum<T>, FEW>(sums) } else { T::ZERO }
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
    let (mut lanes, mut i) = ([T::LOWEST; FEW], 0);
    if n < FEW {
        let x = read::<T, FEW>(x, T::LOWEST);
        for l in 0..n {
            lanes[l] = Highest::<T>::push(T::LOWEST, x[l]);
        }
        return fold_across::<Highest<T>, FEW>(lanes);
    }
    if n >= LANES {
        let mut wide = [T::LOWEST; LANES];
        while i + LANES <= n {
            let x = whole::<T, LANES>(&x[i..][..LANES]);
            for l in 0..LANES {
                wide[l] = Highest::<T>::push(wide[l], x[l]);
            }
            i += LANES;
        }
        lanes = fold_quarters::<Highest<T>>(&wide);
    }
    while i < n {
        // The last vector ends where the row does.
        let x = whole::<T, FEW>(&x[i.min(n - FEW)..][..FEW]);
        for l in 0..FEW {
            lanes[l] = Highest::<T>::push(lanes[l], x[l]);
        }
        i += FEW;
    }
    fold_across::<Highest<T>, FEW>(lanes)
}
