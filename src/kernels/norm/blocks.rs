//! How columns are shared out among tasks: in blocks of rows that stay in cache, and tiles of columns.
//!
//! Narrow arrays are read as wide ones: `k` rows of `c` columns lie in memory as one row of `k * c`.

use super::super::cost::multiplying;
use super::super::dispatch::{Compute, compute};
use super::super::number::Float;
use super::Grouping;
use super::terms::{TILE, Terms, column_sums, write};
use crate::memory::filled;
use crate::memory::unwritten::{Unwritten, assume_written};
use crate::team::{self, Pieces};

/// Elements per task.
const CHUNK: usize = 1 << 13;

/// How the rows and columns are shared out: blocks of rows, and tiles of columns.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    pub(super) outer: usize,
    pub(super) n: usize,
    pub(super) columns: usize,
    /// How many rows are read as one.
    pub(super) fold: usize,
    /// Rows per block; whole multiples of `fold`.
    pub(super) rows: usize,
}

impl Blocks {
    pub(super) fn new(layout: Grouping, width: usize) -> Blocks {
        let columns = layout.columns();
        let fold = (TILE / columns).max(1);
        let fold = 1 << fold.ilog2(); // makes the wide rows whole vectors more often
        let rows = (CHUNK / (columns.min(width) * fold)).max(1) * fold;
        Blocks { outer: layout.outer, n: layout.n, columns, fold, rows }
    }
    /// Columns of the rows that are read.
    pub(super) fn wide(&self) -> usize {
        self.columns * self.fold
    }
    pub(super) fn blocks(&self) -> usize {
        self.n.div_ceil(self.rows)
    }
    pub(super) fn tiles(&self) -> usize {
        self.columns.div_ceil(TILE)
    }
    /// Rows of block `b`.
    pub(super) fn rows_of(&self, b: usize) -> usize {
        self.rows.min(self.n - b * self.rows)
    }
}

/// A block of rows, and of their columns those that are summed at a time.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) plan: Blocks,
    /// The index of the block among those of all `outer`.
    pub(super) block: usize,
    /// Where it begins.
    first: usize,
    pub(super) rows: usize,
    pub(super) first_column: usize,
    pub(super) columns: usize,
}

impl Tile {
    pub(super) fn new(plan: Blocks, task: usize) -> Tile {
        let (block, tile) = (task / plan.tiles(), task % plan.tiles());
        let (o, b) = (block / plan.blocks(), block % plan.blocks());
        let first_column = tile * TILE;
        let first = (o * plan.n + b * plan.rows) * plan.columns + first_column;
        let columns = TILE.min(plan.columns - first_column);
        Tile { plan, block, first, rows: plan.rows_of(b), first_column, columns }
    }

    /// The first rows of the tile: so many of those that are read.
    #[inline(always)]
    pub(super) fn top(&self, rows: usize) -> Tile {
        Tile { rows: self.rows.min(rows * self.plan.fold), ..*self }
    }

    /// The sums of terms over the rows of the tile, for each of its columns.
    #[inline(always)]
    pub(super) fn sums<T: Float, K: Terms<T, N>, const FMA: bool, const N: usize>(
        &self,
        k: &K,
    ) -> [[T; TILE]; N] {
        let Blocks { fold, columns, .. } = self.plan;
        if fold == 1 {
            return column_sums::<T, K, FMA, N>(k, self.first, self.rows, columns, self.columns);
        }
        let (wide, whole) = (self.plan.wide(), self.rows / fold);
        let mut sums = column_sums::<T, K, FMA, N>(k, self.first, whole, wide, wide);
        let left = (self.rows - whole * fold) * columns;
        let last = column_sums::<T, K, FMA, N>(k, self.first + whole * wide, 1, wide, left);
        for s in 0..N {
            for j in 0..left {
                sums[s][j] = sums[s][j].plus(last[s][j]);
            }
            let (first, others) = sums[s][..wide].split_at_mut(columns);
            for row in others.chunks_exact(columns) {
                for j in 0..columns {
                    first[j] = first[j].plus(row[j]);
                }
            }
        }
        sums
    }

    /// Values of the columns of the tile, for each column that [`Tile::sums`] reads.
    #[inline(always)]
    pub(super) fn repeat<T: Float>(&self, value: impl Fn(usize) -> T) -> [T; TILE] {
        let mut values = [T::ZERO; TILE];
        for j in 0..self.columns {
            values[j] = value(j);
        }
        if self.plan.fold > 1 {
            for j in self.columns..self.plan.wide() {
                values[j] = values[j - self.columns];
            }
        }
        values
    }
}

/// The same `N` coefficients for each column, repeated for rows that are read as one: `(outer, N, wide)`.
pub(super) struct Coefficients<T, const N: usize> {
    values: Vec<T>,
    wide: usize,
}

impl<T: Float, const N: usize> Coefficients<T, N> {
    /// From the coefficients of a column of an `outer`.
    pub(super) fn new(plan: Blocks, of: impl Fn(usize, usize) -> [T; N]) -> Self {
        let wide = plan.wide();
        let mut values = filled(plan.outer * N * wide, T::ZERO);
        for (o, values) in values.chunks_exact_mut(N * wide).enumerate() {
            for j in 0..wide {
                for (k, value) in of(o, j % plan.columns).into_iter().enumerate() {
                    values[k * wide + j] = value;
                }
            }
        }
        Coefficients { values, wide }
    }

    pub(super) fn of(&self, o: usize) -> [&[T]; N] {
        std::array::from_fn(|k| &self.values[(o * N + k) * self.wide..][..self.wide])
    }
}

/// A formula for every element of a block of rows, the first of which is at place `first`.
struct Span<'a, K, T> {
    wide: usize,
    first: usize,
    terms: K,
    out: &'a mut Unwritten<T>,
}

impl<'a, T: Float, K: Terms<T, 1>> Compute for Span<'a, K, T> {
    type Out = &'a mut [T];
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [T] {
        for (i, out) in self.out.chunks_mut(self.wide).enumerate() {
            write::<T, _, FMA>(&self.terms, self.first + i * self.wide, out);
        }
        // SAFETY: `write` has filled each of the chunks, which are all of `out`.
        unsafe { assume_written(self.out) }
    }
}

/// Writes every element by the formula for its `outer`.
pub(super) fn each<T: Float, K: Terms<T, 1>>(
    plan: Blocks,
    out: &mut Unwritten<T>,
    terms: impl Fn(usize) -> K + Sync,
) -> &mut [T] {
    let (of_outer, rows) = (plan.n * plan.columns, plan.rows * plan.columns);
    let nanos = multiplying(out.len());
    team::fill(Pieces::of_rows(out, of_outer, rows), nanos, |task, out| {
        let (o, block) = (task / plan.blocks(), task % plan.blocks());
        compute(Span { wide: plan.wide(), first: o * of_outer + block * rows, terms: terms(o), out })
    })
}
