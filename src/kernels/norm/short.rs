//! Normalisation of short rows, which are computed side by side.

use super::super::abreast::{BLOCK, Columns, ROWS, SHORT, lane_sums, places, turn, turn_back};
use super::super::number::Float;
use super::super::real::Real;
use super::super::reduce::{Sum, fold_across};
use super::rows::{Normalise, Part};
use super::{Parameters, count, inverse, inverse_deviation};
use crate::dtype::Element;
use crate::memory::unwritten::Unwritten;

/// A number for each row.
type Side<T> = [T; ROWS];

/// `f` of each lane.
#[inline(always)]
fn lanes<T: Float, const FMA: bool>(f: impl Fn(usize) -> T::Lane<FMA>) -> Side<T> {
    let mut y = [T::ZERO; ROWS];
    for (l, y) in y.iter_mut().enumerate() {
        *y = T::of::<FMA>(f(l));
    }
    y
}

/// Sums of rows of `n` elements as means.
#[inline(always)]
fn means<T: Float, const FMA: bool, const N: usize>(n: usize, sums: [Side<T>; N]) -> [Side<T>; N] {
    let length = count::<T, FMA>(n);
    sums.map(|sum| lanes::<T, FMA>(|l| sum[l].lane::<FMA>() / length))
}

/// The mean distance from a number for each row, and that of the squares.
#[inline(always)]
fn spread<T: Float, const FMA: bool>(x: &Columns<T>, n: usize, from: &Side<T>) -> [Side<T>; 2] {
    let sums = lane_sums!(T, n, |c| {
        let d = lanes::<T, FMA>(|l| x[c][l].lane::<FMA>() - from[l].lane::<FMA>());
        [d, lanes::<T, FMA>(|l| d[l].lane::<FMA>() * d[l].lane::<FMA>())]
    });
    means::<T, FMA, 2>(n, sums)
}

/// `1 / sqrt(var + eps)` of each row, by [`inverse`] where there is one that it finds anew.
#[inline(always)]
fn inverses<T: Float + Element, const FMA: bool, I: Iterator<Item = T>>(
    (mean, var): (&mut Side<T>, &mut Side<T>),
    p: &Parameters<'_, T>,
    row: impl Fn(usize) -> I,
) -> Side<T> {
    let mut found = lanes::<T, FMA>(|l| inverse_deviation(var[l].lane::<FMA>(), p.eps));
    let mut usual = true;
    for l in 0..ROWS {
        let padded = T::of::<FMA>(var[l].lane::<FMA>() + p.eps);
        usual &= (T::SMALLEST <= padded) & (padded < T::HIGHEST);
    }
    if !usual {
        for l in 0..ROWS {
            (mean[l], var[l], found[l]) = inverse::<T, FMA, _>((mean[l], var[l]), p, || row(l));
        }
    }
    found
}

/// [`super::normalise`] of rows of a task, from row `first` of the array on.
#[inline(always)]
pub(super) fn normalise<T: Float + Element, const FMA: bool>(
    of: &Normalise<'_, T>,
    first: usize,
    out: &mut Unwritten<T>,
    [means_out, vars_out]: [&mut Unwritten<T>; 2],
) {
    let (n, p) = (of.n, &of.p);
    let (mut x, zeros) = ([[T::ZERO; ROWS]; SHORT], [T::ZERO; ROWS]);
    for (i, out) in out.chunks_mut(ROWS * n).enumerate() {
        let (row, rows) = (&of.x[(first + i * ROWS) * n..], out.len() / n);
        turn(row, n, &mut x);
        let (mut mean, mut var) = if p.about_zero {
            let [_, squares] = spread::<T, FMA>(&x, n, &zeros);
            (zeros, squares)
        } else {
            let [near] = self::means::<T, FMA, 1>(n, lane_sums!(T, n, |c| [x[c]]));
            let [d, squares] = spread::<T, FMA>(&x, n, &near);
            let mean = lanes::<T, FMA>(|l| near[l].lane::<FMA>() + d[l].lane::<FMA>());
            let var = lanes::<T, FMA>(|l| {
                let d = d[l].lane::<FMA>();
                (squares[l].lane::<FMA>() - d * d).max(T::Lane::<FMA>::lit(0.0))
            });
            (mean, var)
        };
        let row = |l: usize| row[l.min(rows - 1) * n..][..n].iter().copied();
        let inverses = inverses::<T, FMA, _>((&mut mean, &mut var), p, row);
        for c in places(0..n) {
            let (scale, bias) = (p.scale[c].lane::<FMA>(), p.bias[c].lane::<FMA>());
            x[c] = lanes::<T, FMA>(|l| {
                let normal = (x[c][l].lane::<FMA>() - mean[l].lane::<FMA>()) * inverses[l].lane::<FMA>();
                normal.mul_add(scale, bias)
            });
        }
        turn_back(&x, n, out);
        for l in 0..rows {
            means_out[i * ROWS + l].write(mean[l]);
            vars_out[i * ROWS + l].write(var[l]);
        }
    }
}

/// [`super::gradient`] of rows of a task; adds those of scale and bias to sums.
#[inline(always)]
pub(super) fn gradient<T: Float + Element, const FMA: bool>(
    of: &Part<'_, T>,
    dx: &mut Unwritten<T>,
    [scales, biases]: [&mut [T]; 2],
) {
    let (n, p, first) = (of.n, &of.p, of.first);
    let [mut x, mut g, mut along_scale, mut along_bias] = [[[T::ZERO; ROWS]; SHORT]; 4];
    for (i, dx) in dx.chunks_mut(ROWS * n).enumerate() {
        let (row, rows) = (first + i * ROWS, dx.len() / n);
        let of_x = &of.x[row * n..];
        turn(of_x, n, &mut x);
        turn(&of.g[row * n..], n, &mut g);
        let moment = |of: &[T]| std::array::from_fn(|l| of[row + l.min(rows - 1)]);
        let [mut mean, mut var] = [of.moments.mean, of.moments.var].map(moment);
        let elements = |l: usize| of_x[l.min(rows - 1) * n..][..n].iter().copied();
        let inverses = inverses::<T, FMA, _>((&mut mean, &mut var), p, elements);
        for c in places(0..n) {
            x[c] = lanes::<T, FMA>(|l| {
                (x[c][l].lane::<FMA>() - mean[l].lane::<FMA>()) * inverses[l].lane::<FMA>()
            });
            for l in 0..ROWS {
                // Lanes beyond the last row have a row that is there already.
                let (normal, g) = (x[c][l].lane::<FMA>(), g[c][l].lane::<FMA>());
                let [scale, bias] = [g * normal, g].map(|x| if l < rows { T::of::<FMA>(x) } else { T::ZERO });
                along_scale[c][l] = along_scale[c][l].plus(scale);
                along_bias[c][l] = along_bias[c][l].plus(bias);
            }
            let scale = p.scale[c].lane::<FMA>();
            g[c] = lanes::<T, FMA>(|l| g[c][l].lane::<FMA>() * scale);
        }
        let sums = lane_sums!(T, n, |c| {
            [g[c], lanes::<T, FMA>(|l| g[c][l].lane::<FMA>() * x[c][l].lane::<FMA>())]
        });
        let [mut mean, along] = means::<T, FMA, 2>(n, sums);
        if p.about_zero {
            mean = [T::ZERO; ROWS];
        }
        for c in places(0..n) {
            x[c] = lanes::<T, FMA>(|l| {
                let left = g[c][l].lane::<FMA>() - mean[l].lane::<FMA>();
                (left - x[c][l].lane::<FMA>() * along[l].lane::<FMA>()) * inverses[l].lane::<FMA>()
            });
        }
        turn_back(&x, n, dx);
    }
    for c in 0..n {
        scales[c] = scales[c].plus(fold_across::<Sum<T>, ROWS>(along_scale[c]));
        biases[c] = biases[c].plus(fold_across::<Sum<T>, ROWS>(along_bias[c]));
    }
}
