//! Normalisation of columns: each is summed over rows of memory.

use super::super::dispatch::{Kernel, Shared, dispatch};
use super::super::number::Float;
use super::super::real::Real;
use super::super::reduce::{self, Axis, Sum};
use super::blocks::{Coefficients, Plan, Tile, each};
use super::terms::{Element, TILE, Terms};
use super::{Gradients, Layout, Moments, Parameters, count, inverse_deviation};
use crate::memory::{filled, room};
use crate::team;

/// The distance from the mean of the column, and its square.
struct Spread<'a, T> {
    x: *const T,
    mean: &'a [T; TILE],
}

impl<T: Float> Terms<T, 2> for Spread<'_, T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: the caller's element, and a column of the tile.
        let [x, mean] = unsafe { [*self.x.add(i), *self.mean.get_unchecked(j)] };
        let d = x.lane::<FMA>() - mean.lane::<FMA>();
        [d, d * d]
    }
}

/// The means of the columns of a tile, and the sums of squared distances from them.
struct TileMoments<T> {
    tile: Tile,
    x: *const T,
    /// For all blocks `(blocks, columns)`.
    out: [*mut T; 2],
}

impl<T: Float> Kernel for TileMoments<T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let TileMoments { tile, x, out } = self;
        let n = count::<T, FMA>(tile.rows);
        // SAFETY: the task's tile, and its moments.
        unsafe {
            let [sums] = tile.sums::<T, _, FMA, 1>(&Element(x));
            let mean = tile.repeat(|j| T::of::<FMA>(sums[j].lane::<FMA>() / n));
            let [d, squares] = tile.sums::<T, _, FMA, 2>(&Spread { x, mean: &mean });
            let out = out.map(|out| out.add(tile.block * tile.plan.columns + tile.first_column));
            for j in 0..tile.columns {
                let rounding = d[j].lane::<FMA>() / n;
                *out[0].add(j) = T::of::<FMA>(mean[j].lane::<FMA>() + rounding);
                *out[1].add(j) = T::of::<FMA>(squares[j].lane::<FMA>() - rounding * d[j].lane::<FMA>());
            }
        }
    }
}

/// The moments of all rows from those of the blocks: first of each column, then of each group.
struct Merge<'a, T> {
    plan: Plan,
    layout: Layout,
    blocks: [&'a [T]; 2],
    out: Moments<T>,
}

impl<T: Float> Kernel for Merge<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let (plan, columns) = (self.plan, self.plan.columns);
        let Layout { groups, width, n, .. } = self.layout;
        let mut merged = filled(2 * columns, T::ZERO);
        let (mean, squares) = merged.split_at_mut(columns);
        for o in 0..plan.outer {
            let [means, parts] = self.blocks.map(|b| &b[o * plan.blocks() * columns..]);
            // What is added up are distances from the first block: numbers that are small where the means are not.
            mean.fill(T::ZERO);
            squares.fill(T::ZERO);
            for b in 1..plan.blocks() {
                let weight = count::<T, FMA>(plan.rows_of(b)) / count::<T, FMA>(n);
                for (j, mean) in mean.iter_mut().enumerate() {
                    let d = means[b * columns + j].lane::<FMA>() - means[j].lane::<FMA>();
                    *mean = T::of::<FMA>(mean.lane::<FMA>() + d * weight);
                }
            }
            for j in 0..columns {
                mean[j] = mean[j].plus(means[j]);
            }
            for b in 0..plan.blocks() {
                let rows = count::<T, FMA>(plan.rows_of(b));
                for (j, squares) in squares.iter_mut().enumerate() {
                    let d = means[b * columns + j].lane::<FMA>() - mean[j].lane::<FMA>();
                    let more = parts[b * columns + j].lane::<FMA>() + d * d * rows;
                    *squares = T::of::<FMA>(squares.lane::<FMA>() + more);
                }
            }
            for group in 0..groups {
                let columns = group * width..(group + 1) * width;
                let (of, squares) = (&mean[columns.clone()], &squares[columns]);
                let lane = |x: T| x.lane::<FMA>();
                let zero = T::Lane::<FMA>::lit(0.0);
                let distance = of.iter().fold(zero, |sum, &m| sum + (lane(m) - lane(of[0])));
                let mean = lane(of[0]) + distance / count::<T, FMA>(width);
                let between = of.iter().fold(zero, |sum, &m| sum + (lane(m) - mean) * (lane(m) - mean));
                let within = squares.iter().fold(zero, |sum, &s| sum + lane(s));
                let var = (within / count::<T, FMA>(n) + between) / count::<T, FMA>(width);
                let at = o * groups + group;
                // SAFETY: the caller's groups.
                unsafe {
                    *self.out.mean.add(at) = T::of::<FMA>(mean);
                    *self.out.var.add(at) = T::of::<FMA>(var.max(zero));
                }
            }
        }
    }
}

/// The mean and the variance of each group.
pub(super) unsafe fn moments<T: Float>(layout: Layout, x: *const T, out: Moments<T>) {
    let plan = Plan::new(layout, TILE);
    let size = plan.outer * plan.blocks() * plan.columns;
    let mut blocks = filled(2 * size, T::ZERO);
    let (mean, squares) = blocks.split_at_mut(size);
    let (input, outputs) = (Shared(x.cast_mut()), [mean, squares].map(|out| Shared(out.as_mut_ptr())));
    // SAFETY: the caller's promise; each task writes the moments of its own tile.
    unsafe {
        team::run(plan.tasks(), layout.size() / 6, |task| {
            let (tile, out) = (Tile::new(plan, task), [outputs[0].at(0), outputs[1].at(0)]);
            dispatch(TileMoments { tile, x: input.at(0).cast_const(), out });
        });
        let (mean, squares) = blocks.split_at(size);
        dispatch(Merge { plan, layout, blocks: [mean, squares], out });
    }
}

/// `(x - mean) * scale + bias`.
struct Affine<'a, T> {
    x: Shared<T>,
    coefficients: [&'a [T]; 3],
}

impl<T: Float> Terms<T, 1> for Affine<'_, T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: the caller's element and column.
        let (x, c) = unsafe { (*self.x.at(i), self.coefficients.map(|c| *c.get_unchecked(j))) };
        let [mean, scale, bias] = c.map(|c| c.lane::<FMA>());
        [(x.lane::<FMA>() - mean).mul_add(scale, bias)]
    }
}

/// The parameters and moments of the columns.
struct Column<T> {
    layout: Layout,
    p: Parameters<T>,
    moments: Moments<T>,
}

impl<T: Float> Column<T> {
    /// The mean, `1 / sqrt(var + eps)` and the scale of a column.
    unsafe fn at(&self, o: usize, j: usize) -> [T; 3] {
        let group = o * self.layout.groups + j / self.layout.width;
        // SAFETY: the caller's columns and groups.
        unsafe {
            let inverse = inverse_deviation((*self.moments.var.add(group)).lane::<false>(), self.p.eps);
            [*self.moments.mean.add(group), T::of::<false>(inverse), *self.p.scale.add(j)]
        }
    }
}

/// `out = (x - mean) / sqrt(var + eps) * scale + bias`.
pub(super) unsafe fn shift_and_scale<T: Float>(
    layout: Layout,
    x: *const T,
    p: Parameters<T>,
    moments: Moments<T>,
    out: *mut T,
) {
    let plan = Plan::new(layout, usize::MAX);
    let column = Column { layout, p, moments };
    // SAFETY: the caller's promise.
    unsafe {
        let coefficients = Coefficients::new(plan, |o, j| {
            let [mean, inverse, scale] = column.at(o, j);
            [mean, T::of::<false>(inverse.lane::<false>() * scale.lane::<false>()), *p.bias.add(j)]
        });
        let x = Shared(x.cast_mut());
        each(plan, out, |o| Affine { x: Shared(x.at(0)), coefficients: coefficients.of(o) });
    }
}

/// The incoming gradient, and its product with the distance from the mean.
struct Products<'a, T> {
    x: *const T,
    g: *const T,
    mean: &'a [T; TILE],
}

impl<T: Float> Terms<T, 2> for Products<'_, T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: the caller's element, and a column of the tile.
        let [x, g, mean] = unsafe { [*self.x.add(i), *self.g.add(i), *self.mean.get_unchecked(j)] };
        let g = g.lane::<FMA>();
        [g, g * (x.lane::<FMA>() - mean.lane::<FMA>())]
    }
}

/// The sums of [`Products`] over the rows of a tile.
struct TileProducts<'a, T> {
    tile: Tile,
    x: *const T,
    g: *const T,
    /// Of the columns of this `outer`.
    mean: &'a [T],
    /// For all blocks `(blocks, 2, columns)`.
    out: *mut T,
}

impl<T: Float> Kernel for TileProducts<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let TileProducts { tile, x, g, mean, out } = self;
        let mean = tile.repeat(|j| mean[tile.first_column + j]);
        // SAFETY: the task's tile, and its sums.
        unsafe {
            let sums = tile.sums::<T, _, FMA, 2>(&Products { x, g, mean: &mean });
            for (s, sums) in sums.iter().enumerate() {
                let out = out.add((tile.block * 2 + s) * tile.plan.columns + tile.first_column);
                out.copy_from_nonoverlapping(sums.as_ptr(), tile.columns);
            }
        }
    }
}

/// `g * a - (x - mean) * b - c`.
struct Input<'a, T> {
    x: Shared<T>,
    g: Shared<T>,
    coefficients: [&'a [T]; 4],
}

impl<T: Float> Terms<T, 1> for Input<'_, T> {
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: the caller's element and column.
        let (x, g, c) =
            unsafe { (*self.x.at(i), *self.g.at(i), self.coefficients.map(|c| *c.get_unchecked(j))) };
        let [mean, a, b, c] = c.map(|c| c.lane::<FMA>());
        [g.lane::<FMA>().mul_add(a, -(x.lane::<FMA>() - mean).mul_add(b, c))]
    }
}

/// [`super::gradient`], from two passes: one for the sums of the columns, one for the gradient of the input.
pub(super) unsafe fn gradient<T: Float>(
    layout: Layout,
    is_given: bool,
    [x, g]: [*const T; 2],
    p: Parameters<T>,
    moments: Moments<T>,
    out: Gradients<T>,
) {
    let Layout { outer, n, width, .. } = layout;
    let (plan, columns) = (Plan::new(layout, TILE), layout.columns());
    let (x, g) = (Shared(x.cast_mut()), Shared(g.cast_mut()));
    let column = Column { layout, p, moments };
    let mut parts = filled(outer * plan.blocks() * 2 * columns, T::ZERO);
    let mut sums = filled(outer * 2 * columns, T::ZERO);
    // SAFETY: the caller's promise; each task writes the sums of its own tile.
    unsafe {
        let means = Coefficients::new(Plan { fold: 1, ..plan }, |o, j| [column.at(o, j)[0]]);
        let to = Shared(parts.as_mut_ptr());
        team::run(plan.tasks(), layout.size() / 3, |task| {
            let tile = Tile::new(plan, task);
            let [mean] = means.of(tile.block / plan.blocks());
            dispatch(TileProducts { tile, x: x.at(0), g: g.at(0), mean, out: to.at(0) });
        });
        let axis = Axis { outer, n: plan.blocks(), inner: 2 * columns };
        reduce::reduce::<Sum<T>>(axis, parts.as_ptr(), sums.as_mut_ptr());
    }
    let lane = |x: T| x.lane::<false>();
    let sums_of = |o: usize, j: usize| [sums[o * 2 * columns + j], sums[(o * 2 + 1) * columns + j]].map(lane);
    // The means over a group of the scaled gradient, and of its product with the normalised elements.
    let mut group_means = room(outer * layout.groups);
    for o in 0..outer {
        for group in 0..layout.groups {
            let mut means = [T::Lane::<false>::lit(0.0); 2];
            for j in group * width..(group + 1) * width {
                // SAFETY: a column of the caller's.
                let [_, inverse, scale] = unsafe { column.at(o, j) }.map(lane);
                let [s, products] = sums_of(o, j);
                means = [means[0] + s * scale, means[1] + products * scale * inverse];
            }
            group_means.push(means.map(|m| {
                if is_given { T::Lane::<false>::lit(0.0) } else { m / count::<T, false>(n * width) }
            }));
        }
    }
    let plan = Plan::new(layout, usize::MAX);
    // SAFETY: the caller's promise.
    unsafe {
        let coefficients = Coefficients::new(plan, |o, j| {
            let [mean, inverse, scale] = column.at(o, j).map(lane);
            let [m, products] = group_means[o * layout.groups + j / width];
            [mean, inverse * scale, products * inverse * inverse, m * inverse].map(T::of::<false>)
        });
        each(plan, out.x, |o| Input {
            x: Shared(x.at(0)),
            g: Shared(g.at(0)),
            coefficients: coefficients.of(o),
        });
        for j in 0..columns {
            let mut totals = [T::Lane::<false>::lit(0.0); 2];
            for o in 0..outer {
                let [s, products] = sums_of(o, j);
                totals = [totals[0] + s, totals[1] + products * lane(column.at(o, j)[1])];
            }
            [*out.bias.add(j), *out.scale.add(j)] = totals.map(T::of::<false>);
        }
    }
}
