//! Normalisation of columns: each is summed over rows of memory.

use super::super::cost::summing;
use super::super::dispatch::{Compute, compute};
use super::super::number::Float;
use super::super::real::Real;
use super::super::reduce::{self, Axis, Sum};
use super::blocks::{Blocks, Coefficients, Tile, each};
use super::terms::{Itself, TILE, Terms};
use super::{Grouping, Moments, Parameters, count, inverse, inverse_deviation};
use crate::dtype::Element;
use crate::memory::unwritten::{Unwritten, Writer};
use crate::memory::{filled, room};
use crate::team::{self, Pieces, Tiles};

/// The distance from the mean of the column, and its square.
struct Spread<'a, T> {
    x: &'a [T],
    mean: &'a [T; TILE],
}

impl<T: Float> Terms<T, 2> for Spread<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, columns: usize) -> bool {
        places <= self.x.len() && columns <= TILE
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: `holds` is true for place `i` and column `j`.
        let [x, mean] = unsafe { [*self.x.get_unchecked(i), *self.mean.get_unchecked(j)] };
        let d = x.lane::<FMA>() - mean.lane::<FMA>();
        [d, d * d]
    }
}

/// Rows of the tile whose mean the distances are taken from. If the squares are large beside those from the mean of all rows,
/// then because these few are far from it, and they count among them: so a tile, which has up to 32 times as many rows, loses
/// up to the factor 33 in digits of its squares.
const SOME: usize = 4;

/// The means of the columns of a tile, and the sums of squared distances from them.
struct TileMoments<'x, 'a, T> {
    tile: Tile,
    x: &'x [T],
    out: [&'a mut [T]; 2],
}

impl<T: Float> Compute for TileMoments<'_, '_, T> {
    type Out = ();
    #[inline(always)]
    fn compute<const FMA: bool>(self) {
        let TileMoments { tile, x, out: [means, parts] } = self;
        let (some, n) = (tile.top(SOME), count::<T, FMA>(tile.rows));
        let [sums] = some.sums::<T, _, FMA, 1>(&Itself(x));
        let near = tile.repeat(|j| T::of::<FMA>(sums[j].lane::<FMA>() / count::<T, FMA>(some.rows)));
        let [d, squares] = tile.sums::<T, _, FMA, 2>(&Spread { x, mean: &near });
        for j in 0..tile.columns {
            let distance = d[j].lane::<FMA>() / n;
            let part = squares[j].lane::<FMA>() - distance * d[j].lane::<FMA>();
            means[j] = T::of::<FMA>(near[j].lane::<FMA>() + distance);
            parts[j] = T::of::<FMA>(part.max(T::Lane::<FMA>::lit(0.0)));
        }
    }
}

/// The moments of all rows from those of the blocks: first of each column, then of each group.
struct Merge<'x, 'a, T> {
    plan: Blocks,
    layout: Grouping,
    blocks: [&'x [T]; 2],
    out: [&'a mut Unwritten<T>; 2],
}

impl<'a, T: Float> Compute for Merge<'_, 'a, T> {
    type Out = [&'a mut [T]; 2];
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> [&'a mut [T]; 2] {
        let [mut means_out, mut vars_out] = self.out.map(Writer::new);
        let (plan, columns) = (self.plan, self.plan.columns);
        let Grouping { groups, width, n, .. } = self.layout;
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
                means_out.push(T::of::<FMA>(mean));
                vars_out.push(T::of::<FMA>(var.max(zero)));
            }
        }
        [means_out.finish(), vars_out.finish()]
    }
}

/// The mean and the variance of each group.
pub(super) fn moments<'a, T: Float>(
    layout: Grouping,
    x: &[T],
    out: [&'a mut Unwritten<T>; 2],
) -> [&'a mut [T]; 2] {
    let plan = Blocks::new(layout, TILE);
    let size = plan.outer * plan.blocks() * plan.columns;
    let mut blocks = filled(2 * size, T::ZERO);
    let (mean, squares) = blocks.split_at_mut(size);
    let share = (Pieces::of_rows(mean, plan.columns, TILE), Pieces::of_rows(squares, plan.columns, TILE));
    team::each(share, summing(layout.size()), |task, (mean, squares)| {
        compute(TileMoments { tile: Tile::new(plan, task), x, out: [mean, squares] });
    });
    let (mean, squares) = blocks.split_at(size);
    compute(Merge { plan, layout, blocks: [mean, squares], out })
}

/// `(x - mean) * scale + bias`.
struct Affine<'a, T> {
    x: &'a [T],
    coefficients: [&'a [T]; 3],
}

impl<T: Float> Terms<T, 1> for Affine<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, columns: usize) -> bool {
        places <= self.x.len() && self.coefficients.iter().all(|c| columns <= c.len())
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: `holds` is true for place `i` and column `j`.
        let (x, c) = unsafe { (*self.x.get_unchecked(i), self.coefficients.map(|c| *c.get_unchecked(j))) };
        let [mean, scale, bias] = c.map(|c| c.lane::<FMA>());
        [(x.lane::<FMA>() - mean).mul_add(scale, bias)]
    }
}

/// What the columns are scaled by, and the mean and `1 / sqrt(var + eps)` of each group.
struct Column<'a, T> {
    layout: Grouping,
    scale: &'a [T],
    groups: Vec<[T; 2]>,
}

impl<'a, T: Float + Element> Column<'a, T> {
    /// That of moments; `of` has the elements, if the moments are theirs.
    fn new(layout: Grouping, p: Parameters<'a, T>, moments: Moments<'_, T>, of: Option<&[T]>) -> Self {
        let Grouping { n, groups, width, .. } = layout;
        let mut found = room(moments.mean.len());
        for (at, (&mean, &var)) in moments.mean.iter().zip(moments.var).enumerate() {
            found.push(match of {
                None => [mean, T::of::<false>(inverse_deviation(var.lane::<false>(), p.eps))],
                Some(x) => {
                    let (o, group) = (at / groups, at % groups);
                    let row = |i: usize| &x[((o * n + i) * groups + group) * width..][..width];
                    let elements = || (0..n).flat_map(move |i| row(i).iter().copied());
                    let (mean, _, inverse) = inverse::<T, false, _>((mean, var), &p, elements);
                    [mean, inverse]
                }
            });
        }
        Column { layout, scale: p.scale, groups: found }
    }

    /// The mean, `1 / sqrt(var + eps)` and the scale of a column.
    fn at(&self, o: usize, j: usize) -> [T; 3] {
        let [mean, inverse] = self.groups[o * self.layout.groups + j / self.layout.width];
        [mean, inverse, self.scale[j]]
    }
}

/// `out = (x - mean) / sqrt(var + eps) * scale + bias`; whether the moments are given.
pub(super) fn shift_and_scale<'a, T: Float + Element>(
    layout: Grouping,
    is_given: bool,
    x: &[T],
    p: Parameters<'_, T>,
    moments: Moments<'_, T>,
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let plan = Blocks::new(layout, usize::MAX);
    let column = Column::new(layout, p, moments, (!is_given).then_some(x));
    let coefficients = Coefficients::new(plan, |o, j| {
        let [mean, inverse, scale] = column.at(o, j);
        [mean, T::of::<false>(inverse.lane::<false>() * scale.lane::<false>()), p.bias[j]]
    });
    each(plan, out, |o| Affine { x, coefficients: coefficients.of(o) })
}

/// The incoming gradient, and its product with the distance from the mean.
struct Products<'a, T> {
    x: &'a [T],
    g: &'a [T],
    mean: &'a [T; TILE],
}

impl<T: Float> Terms<T, 2> for Products<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, columns: usize) -> bool {
        places <= self.x.len() && places <= self.g.len() && columns <= TILE
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; 2] {
        // SAFETY: `holds` is true for place `i` and column `j`.
        let [x, g, mean] =
            unsafe { [*self.x.get_unchecked(i), *self.g.get_unchecked(i), *self.mean.get_unchecked(j)] };
        let g = g.lane::<FMA>();
        [g, g * (x.lane::<FMA>() - mean.lane::<FMA>())]
    }
}

/// The sums of [`Products`] over the rows of a tile.
struct TileProducts<'x, 'a, T> {
    tile: Tile,
    x: &'x [T],
    g: &'x [T],
    /// Of the columns of this `outer`.
    mean: &'x [T],
    /// Two rows, of the tile's columns.
    out: team::Tile<'a, T>,
}

impl<T: Float> Compute for TileProducts<'_, '_, T> {
    type Out = ();
    #[inline(always)]
    fn compute<const FMA: bool>(self) {
        let TileProducts { tile, x, g, mean, mut out } = self;
        let mean = tile.repeat(|j| mean[tile.first_column + j]);
        let sums = tile.sums::<T, _, FMA, 2>(&Products { x, g, mean: &mean });
        for (s, sums) in sums.iter().enumerate() {
            out.row(s).copy_from_slice(&sums[..tile.columns]);
        }
    }
}

/// `g * a - (x - mean) * b - c`.
struct Input<'a, T> {
    x: &'a [T],
    g: &'a [T],
    coefficients: [&'a [T]; 4],
}

impl<T: Float> Terms<T, 1> for Input<'_, T> {
    #[inline(always)]
    fn holds(&self, places: usize, columns: usize) -> bool {
        let elements = places <= self.x.len() && places <= self.g.len();
        elements && self.coefficients.iter().all(|c| columns <= c.len())
    }
    #[inline(always)]
    unsafe fn at<const FMA: bool>(&self, i: usize, j: usize) -> [T::Lane<FMA>; 1] {
        // SAFETY: `holds` is true for place `i` and column `j`.
        let ([x, g], c) = unsafe {
            ([self.x, self.g].map(|a| *a.get_unchecked(i)), self.coefficients.map(|c| *c.get_unchecked(j)))
        };
        let [mean, a, b, c] = c.map(|c| c.lane::<FMA>());
        [g.lane::<FMA>().mul_add(a, -(x.lane::<FMA>() - mean).mul_add(b, c))]
    }
}

/// [`super::gradient`], from two passes: one for the sums of the columns, one for the gradient of the input.
pub(super) fn gradient<'a, T: Float + Element>(
    layout: Grouping,
    is_given: bool,
    [x, g]: [&[T]; 2],
    p: Parameters<'_, T>,
    moments: Moments<'_, T>,
    [dx, dscale, dbias]: [&'a mut Unwritten<T>; 3],
) -> [&'a mut [T]; 3] {
    let Grouping { outer, n, width, .. } = layout;
    let (plan, columns) = (Blocks::new(layout, TILE), layout.columns());
    let column = Column::new(layout, p, moments, (!is_given).then_some(x));
    let mut parts = filled(outer * plan.blocks() * 2 * columns, T::ZERO);
    let means = Coefficients::new(Blocks { fold: 1, ..plan }, |o, j| [column.at(o, j)[0]]);
    team::each(Tiles::of(&mut parts, 2, columns, TILE), summing(2 * layout.size()), |task, out| {
        let tile = Tile::new(plan, task);
        let [mean] = means.of(tile.block / plan.blocks());
        compute(TileProducts { tile, x, g, mean, out });
    });
    let axis = Axis { outer, n: plan.blocks(), inner: 2 * columns };
    let mut sums = room(axis.places());
    let sums = &*reduce::reduce::<Sum<T>>(axis, &parts, &mut sums.spare_capacity_mut()[..axis.places()]);
    let lane = |x: T| x.lane::<false>();
    let sums_of = |o: usize, j: usize| [sums[o * 2 * columns + j], sums[(o * 2 + 1) * columns + j]].map(lane);
    // The means over a group of the scaled gradient, and of its product with the normalised elements.
    let mut group_means = room(outer * layout.groups);
    for o in 0..outer {
        for group in 0..layout.groups {
            let mut means = [T::Lane::<false>::lit(0.0); 2];
            for j in group * width..(group + 1) * width {
                let [_, inverse, scale] = column.at(o, j).map(lane);
                let [s, products] = sums_of(o, j);
                means = [means[0] + s * scale, means[1] + products * scale * inverse];
            }
            group_means.push(means.map(|m| {
                if is_given { T::Lane::<false>::lit(0.0) } else { m / count::<T, false>(n * width) }
            }));
        }
    }
    let plan = Blocks::new(layout, usize::MAX);
    let coefficients = Coefficients::new(plan, |o, j| {
        let [mean, inverse, scale] = column.at(o, j).map(lane);
        let [m, products] = group_means[o * layout.groups + j / width];
        [mean, inverse * scale, products * inverse * inverse, m * inverse].map(T::of::<false>)
    });
    let dx = each(plan, dx, |o| Input { x, g, coefficients: coefficients.of(o) });
    let [mut dscale, mut dbias] = [dscale, dbias].map(Writer::new);
    for j in 0..columns {
        let mut totals = [T::Lane::<false>::lit(0.0); 2];
        for o in 0..outer {
            let [s, products] = sums_of(o, j);
            totals = [totals[0] + s, totals[1] + products * lane(column.at(o, j)[1])];
        }
        let [bias, scale] = totals.map(T::of::<false>);
        dbias.push(bias);
        dscale.push(scale);
    }
    [dx, dscale.finish(), dbias.finish()]
}
